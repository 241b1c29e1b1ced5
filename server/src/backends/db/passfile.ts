/** libpq's file of passwords: `host:port:database:user:password` a line; PostgreSQL documentation, "The Password File". */
import { readFile, stat } from 'node:fs/promises'

export interface PassfileEntry {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/**
 * The password of the first line that fits; undefined without such a line or without the file.
 * Throws an Error that names the file when others may read it (libpq passes over such a file in silence).
 */
export async function findPassword(file: string, wanted: PassfileEntry): Promise<string | undefined> {
  let text: string
  try {
    const { mode } = await stat(file)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new Error(`${file} may be read by others; make it its owner's only (chmod 600)`)
    }
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  // libpq knows the sockets of its own default folder as localhost; which folder that is, differs from system to system.
  const hosts = wanted.host.startsWith('/') ? [wanted.host, 'localhost'] : [wanted.host]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const [host, port, database, user, password] = fieldsOf(line)
    const fits = (field: string | undefined, values: readonly string[]) =>
      field === '*' || (field !== undefined && values.includes(unescaped(field)))
    if (
      password !== undefined &&
      fits(host, hosts) &&
      fits(port, [String(wanted.port)]) &&
      fits(database, [wanted.database]) &&
      fits(user, [wanted.user])
    )
      return unescaped(password)
  }
  return undefined
}

/** As written; the password may hold colons. */
const fieldsOf = (line: string): readonly string[] =>
  /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):(.*)$/.exec(line)?.slice(1) ?? []

/** A backslash takes the character after it as it is. */
const unescaped = (field: string): string => field.replace(/\\(.)/g, '$1')
