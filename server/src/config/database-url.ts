/**
 * `postgres://user@host:5432/database?sslmode=…`, the form that libpq reads too (PostgreSQL documentation, "Connection URIs"),
 * with those parameters that make sense here. What is wrong with one is said without a piece of it: it may hold a password,
 * and a password whose signs are not encoded may be taken for anything.
 */
import { isLoopback } from '../base/loopback.ts'
import { postgresName } from '../base/postgres-name.ts'
import type { PostgresConfig } from './config.ts'

const form = 'postgres://user@host:5432/database'

/** What follows the question mark. */
const known = new Set(['host', 'port', 'user', 'sslmode', 'sslrootcert', 'passfile'])

const tlsModes = ['disable', 'require', 'verify-ca', 'verify-full'] as const

/** Its relative paths are not resolved. Returns a mistake as a sentence that follows the setting's name. */
export function parseDatabaseUrl(text: string): PostgresConfig | string {
  if (!/^postgres(?:ql)?:\/\//.test(text)) return `must be a URL like ${form}`
  let url: URL
  try {
    url = new URL(text)
    for (const part of [url.hostname, url.username, url.password, url.pathname]) decodeURIComponent(part)
  } catch {
    return `must be a URL like ${form}, with what is special in it percent-encoded`
  }
  const { searchParams: parameters } = url
  if (url.hash !== '') return 'must have no "#"; write one in a password as %23'
  if ([...parameters.keys()].some((name) => !known.has(name)))
    return `has a parameter that is not known; known are ${[...known].join(', ')}`
  const host = parameters.get('host') ?? decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1')
  const user = parameters.get('user') ?? decodeURIComponent(url.username)
  const port = parameters.get('port') ?? url.port
  const database = url.pathname.slice(1)
  if (host === '') return `must name a host: ${form}`
  if (user === '') return `must name a user: ${form}`
  if (database.includes('/')) return `must name one database: ${form}`
  if (!/^\d{0,5}$/.test(port) || Number(port) > 65_535) return 'must have a port from 1 to 65535'
  const tls = parameters.get('sslmode') ?? (isNear(host) ? 'disable' : 'verify-full')
  if (!isTlsMode(tls)) return `must have one of ${tlsModes.join(', ')} as its sslmode`
  return {
    kind: 'postgres',
    host,
    port: Number(port) || 5432,
    user,
    database: decodeURIComponent(database) || user,
    tls,
    ...given('password', decodeURIComponent(url.password)),
    ...given('passfile', parameters.get('passfile')),
    ...given('rootCertificate', parameters.get('sslrootcert')),
  }
}

/** Without the password: for messages, and to be kept. */
export function formatDatabaseUrl(config: PostgresConfig): string {
  const { tls, passfile, rootCertificate } = config
  const files = { ...given('sslrootcert', rootCertificate), ...given('passfile', passfile) }
  return `${postgresName(config)}?${new URLSearchParams({ sslmode: tls, ...files })}`
}

const isTlsMode = (text: string): text is PostgresConfig['tls'] => (tlsModes as readonly string[]).includes(text)

/** What never leaves this machine need not be encrypted. */
const isNear = (host: string) => host.startsWith('/') || host === 'localhost' || isLoopback(host)

const given = <Name extends string>(name: Name, value: string | null | undefined): { [N in Name]?: string } =>
  (value ? { [name]: value } : {}) as { [N in Name]?: string }
