/** What is kept of a reply for counting its tokens: its first and its last bytes. */
export const ends = (reply: string): string => (reply.length <= 2048 + 4096 ? reply : reply.slice(0, 2048) + reply.slice(-4096))
