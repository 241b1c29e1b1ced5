import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below those that Linux gives to outgoing connections and to whoever listens on port 0 (ip(7), `ip_local_port_range`). */
const first = 20_000
const end = 32_768

/**
 * A port of 127.0.0.1 on which nobody listens, for a program that must be told one. It takes a while to listen there:
 * that meanwhile no other test is given the same one is why it is not among the system's own, and drawn by lot.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(first, end)
    if (await isFree(port)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  }
  server.close()
  await once(server, 'close')
  return true
}
