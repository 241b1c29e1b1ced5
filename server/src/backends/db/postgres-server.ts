/** Where a PostgreSQL database is, and how to be let in. */
import { readFile } from 'node:fs/promises'
import type { ClientConfig } from 'pg'
import type { PostgresPlace } from '../../base/postgres-name.ts'
import { findPassword } from './passfile.ts'

export interface PostgresServer extends PostgresPlace {
  readonly password?: string | undefined
  /** Where the password is looked up when there is none above; the file need not exist. */
  readonly passfile?: string | undefined
  /** As libpq's sslmode; `prefer` and `allow`, which anybody on the way can turn off, are not to be had. */
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  /** PEM file of the authorities to trust, in place of the well-known ones. */
  readonly rootCertificate?: string | undefined
}

/** The files that it names are read anew for every connection, so that they can be replaced under a running server. */
export async function clientConfigOf(server: PostgresServer): Promise<ClientConfig> {
  const { host, port, database, user } = server
  return { host, port, database, user, password: () => passwordFor(server), ssl: await tlsOf(server) }
}

/** Asked only where the server wants one. */
async function passwordFor(server: PostgresServer): Promise<string> {
  const { password, passfile } = server
  const found = password ?? (passfile === undefined ? undefined : await findPassword(passfile, server))
  if (found !== undefined) return found
  throw new Error('the server asks for a password, and neither the address, PGPASSWORD nor the passfile has one')
}

async function tlsOf({ tls, rootCertificate }: PostgresServer): Promise<Exclude<ClientConfig['ssl'], undefined>> {
  if (tls === 'disable') return false
  const authorities = rootCertificate === undefined ? {} : { ca: await readFile(rootCertificate, 'utf8') }
  if (tls === 'verify-full') return { rejectUnauthorized: true, ...authorities }
  // As libpq: an authority that is named is looked at, also where only encryption is asked for.
  if (tls === 'verify-ca' || rootCertificate !== undefined) {
    return { rejectUnauthorized: true, ...authorities, checkServerIdentity: () => undefined }
  }
  return { rejectUnauthorized: false }
}
