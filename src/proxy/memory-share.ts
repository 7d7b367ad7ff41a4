import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** The bytes that each of so many processes may have of the container's memory, or the machine's. */
export function memoryOfEach(processes: number): number {
  // Where nothing constrains the process, Node answers 0, or more than there is.
  const machine = totalmem()
  const constrained = process.constrainedMemory()
  return (constrained > 0 ? Math.min(constrained, machine) : machine) / processes
}

/** How much of the memory that a process may have it has, from 0 to 1: of so many bytes, or of JavaScript's own heap, whichever is nearer its end. */
export function createMemoryShare(bytesMax: number): () => number {
  return () => {
    const { used_heap_size, heap_size_limit } = getHeapStatistics()
    return Math.max(process.memoryUsage.rss() / bytesMax, used_heap_size / heap_size_limit)
  }
}
