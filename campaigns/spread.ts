/** Clients that are known to speak to different workers: a race within one process is not the race that is looked for. */
import { readdirSync, readlinkSync } from 'node:fs'
import { type Client, createClient } from './client.ts'
import { type Program, processesOfGroup } from './program.ts'

const mostTries = 50

/** Each on one connection of its own that is kept. Every worker has at least one of them. */
export async function connectSpread(program: Program, authorization: string, count: number): Promise<Client[]> {
  const workers = processesOfGroup(program.pid).filter((pid) => pid !== program.pid)
  for (let tries = 0; tries < mostTries; tries++) {
    const before = new Map(workers.map((pid) => [pid, socketsOf(pid)]))
    const clients = Array.from({ length: count }, () => createClient(program.port, authorization))
    await Promise.all(clients.map((client) => client.ask('GET', '/v2/')))
    if (workers.every((pid) => socketsOf(pid) > (before.get(pid) ?? 0))) return clients
    for (const client of clients) client.close()
  }
  throw new Error(`${count} connections never reached all of ${workers.length} workers`)
}

const socketsOf = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).filter((name) => linkOf(`/proc/${pid}/fd/${name}`).startsWith('socket:')).length

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed meanwhile
  }
}
