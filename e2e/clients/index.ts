import { readFileSync } from 'node:fs'
import type { ClientName } from './catalog.ts'
import { clientsFile } from './folders.ts'

export interface Client {
  readonly name: ClientName
  readonly path: string
  readonly version: string
  /** `false`, or why a story that needs this client cannot be told: meant for `test(…, { skip: client.skip })`. */
  readonly skip: string | false
}

export type ClientsFile = Readonly<Record<string, { path: string; version: string } | { missing: string }>>

/** What `install.ts` wrote down about a client. */
export function client(name: ClientName): Client {
  const entry = readClientsFile()[name] ?? { missing: 'not looked for yet: run `node e2e/clients/install.ts`' }
  if ('missing' in entry) return { name, path: name, version: '', skip: `${name}: ${entry.missing}` }
  return { name, ...entry, skip: false }
}

/** The first reason among several clients that a story needs together. */
export const skipUnless = (...needed: readonly Client[]): string | false =>
  needed.map(({ skip }) => skip).find((reason) => reason !== false) ?? false

function readClientsFile(): ClientsFile {
  try {
    return JSON.parse(readFileSync(clientsFile, 'utf8')) as ClientsFile
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}
