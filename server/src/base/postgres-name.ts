export interface PostgresPlace {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** `postgres://user@host:port/database`: for messages and logs, so without the password. */
export function postgresName({ user, host, port, database }: PostgresPlace): string {
  const where = host.includes(':') ? `[${host}]` : encodeURIComponent(host)
  return `postgres://${encodeURIComponent(user)}@${where}:${port}/${encodeURIComponent(database)}`
}
