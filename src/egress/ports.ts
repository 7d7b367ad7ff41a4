/** Services that must not be spoken to in HTTP by someone who can set a URL: remote shells, databases, caches, queues, control planes. */
const CLOSED = new Set([
  1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 4369, 5432, 5671, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6380, 6443, 6660, 6661, 6662,
  6663, 6664, 6665, 6666, 6667, 6668, 6669, 6697, 8500, 9042, 9092, 9200, 9300, 10250, 10255, 11211, 15672, 16379, 26257, 26379, 27017, 27018, 27019,
])
const FIRST_UNPRIVILEGED = 1024

/** Below 1024 only the web's own two ports are open (no SSH, SMTP, SMB), above it everything but a list: model servers live on any port there. */
export const isOpenPort = (port: number): boolean => (port < FIRST_UNPRIVILEGED ? port === 80 || port === 443 : !CLOSED.has(port))
