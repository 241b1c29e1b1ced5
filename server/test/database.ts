/** Databases for tests, each empty and of its own: in memory, or with `DB=postgres` on the PostgreSQL of `postgres.ts`. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Database } from '../src/backends/db/database.ts'
import { openPostgres } from '../src/backends/db/postgres.ts'
import type { PostgresServer } from '../src/backends/db/postgres-server.ts'
import { openSqlite } from '../src/backends/db/sqlite.ts'
import { type Clock, systemClock } from '../src/base/clock.ts'
import { onPostgres, type TestPostgres, testPostgres } from './postgres.ts'

/** What this run of the tests is on. */
export const onPostgreSql = process.env.DB === 'postgres'

/** file: where SQLite keeps it; only there does it matter. Gone, with all that is in it, once it is disposed. */
export async function openTestDatabase({
  clock = systemClock,
  file = ':memory:',
}: {
  clock?: Clock
  file?: string
} = {}) {
  if (!onPostgreSql) return openSqlite({ file, clock })
  const { name, drop } = await createTestDatabase()
  const db = await openPostgres({ server: (await testPostgres()).serverOf(name), clock })
  const disposing: Database = {
    read: (fn) => db.read(fn),
    select: (query, parameters) => db.select(query, parameters),
    write: (fn, options) => db.write(fn, options),
    makeDurable: () => db.makeDurable(),
    exclusively: (lock, fn) => db.exclusively(lock, fn),
    async dispose() {
      await db.dispose()
      await drop()
    },
  }
  return disposing
}

export interface TestDatabase {
  readonly name: string
  /** For `--database`. */
  readonly url: string
  drop(): Promise<void>
}

const template = 'berth_template'
let templateMade: Promise<void> | undefined

/** A new database of PostgreSQL, with the tables in it already. */
export async function createTestDatabase(): Promise<TestDatabase> {
  templateMade ??= testPostgres().then(makeTemplate)
  await templateMade
  return create(`template ${template}`)
}

/** A new database of PostgreSQL with nothing in it. */
export const createEmptyDatabase = (): Promise<TestDatabase> => create('')

async function create(how: string): Promise<TestDatabase> {
  const postgres = await testPostgres()
  const name = `berth_${randomBytes(8).toString('hex')}`
  administer ??= queue(postgres.serverOf('postgres'))
  const run = administer
  await run(`create database ${name} ${how}`)
  return { name, url: postgres.urlOf(name), drop: () => run(`drop database if exists ${name} with (force)`) }
}

let administer: ((statement: string) => Promise<void>) | undefined

/** Runs statements one after the other on one connection, which keeps nobody's process from ending. */
function queue(server: PostgresServer): (statement: string) => Promise<void> {
  const { host, port, user, password, database } = server
  const client = new pg.Client({ host, port, user, password, database })
  client.on('error', () => undefined) // told to the next one who asks for something
  const socket = client.connection.stream as Socket
  let waiting = 0
  let last: Promise<unknown> = client.connect()
  return async (statement) => {
    if (waiting++ === 0) socket.ref()
    const done = last.then(() => onceNobodyIsIn(() => client.query(statement)))
    last = done.catch(() => undefined) // told to whoever asked for it
    await done.finally(() => {
      if (--waiting === 0) socket.unref()
    })
  }
}

const objectInUse = '55006'

/** A server that is busy takes its time to see that a connection has ended. */
async function onceNobodyIsIn(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work()
      return
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== objectInUse || tries === 20) throw error
    }
    await pause(50 * tries)
  }
}

/** Copied many times, it spares each test the migrations. Several test files may come here at once. */
async function makeTemplate(postgres: TestPostgres): Promise<void> {
  await onPostgres(postgres.serverOf('postgres'), async (client) => {
    await client.query('select pg_advisory_lock(1)')
    const { rowCount } = await client.query('select from pg_database where datname = $1', [template])
    if (rowCount !== 0) return
    const making = `${template}_${process.pid}`
    await client.query(`create database ${making}`)
    await (await openPostgres({ server: postgres.serverOf(making) })).dispose()
    await onceNobodyIsIn(() => client.query(`alter database ${making} rename to ${template}`))
  })
}

/** What the real program is told about its database: nothing, or with `DB=postgres` a new one, dropped on disposal. */
export async function databaseFlags(): Promise<{ readonly flags: readonly string[] } & AsyncDisposable> {
  if (!onPostgreSql) return { flags: [], [Symbol.asyncDispose]: async () => undefined }
  const { url, drop } = await createTestDatabase()
  return { flags: ['--database', url], [Symbol.asyncDispose]: drop }
}
