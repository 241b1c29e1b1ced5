/** What PostgreSQL has besides the contract: conflicts, losses, limits, and several programs on one server. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, type TestContext, test } from 'node:test'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { createTestDatabase, type TestDatabase } from '../../../test/database.ts'
import { type OwnPostgres, onPostgres, postgresSkip, startPostgres, testPostgres } from '../../../test/postgres.ts'
import { startTcpGate } from '../../../test/tcp-gate.ts'
import { isFault } from '../../base/fault.ts'
import { createAuthority, createIssuer } from '../../tls/issue.ts'
import { addBlob, aRegistry, countBlobs, databaseContract, indexedQueries } from './database.contract.ts'
import type { Database } from './database.ts'
import { fixedQuery } from './fixed-query.ts'
import { openPostgres, type PostgresOptions } from './postgres.ts'
import type { PostgresServer } from './postgres-server.ts'
import type { Tables } from './tables/index.ts'

databaseContract(
  'PostgreSQL database',
  async () => {
    const { name, drop } = await createTestDatabase()
    const server = (await testPostgres()).serverOf(name)
    const openAgain = () => openPostgres({ server })
    const db = await openAgain()
    return {
      db,
      openAgain,
      async dispose() {
        await db.dispose()
        await drop()
      },
    }
  },
  { skip: postgresSkip },
)

type Run = (db: Kysely<Tables>) => Promise<unknown>

const isUnavailable = (error: unknown) => isFault(error, 'unavailable')
const because = (reason: RegExp) => (error: unknown) =>
  isFault(error, 'unavailable') && reason.test(error.detail.reason) && error.detail.retryAfterSeconds > 0

/** Its own secret must never be in what a program says of it. */
function assertSecretKept(error: unknown, { password = '' }: PostgresServer): true {
  assert.ok(error instanceof Error)
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    assert.ok(!`${e.message}${e.stack}${JSON.stringify(e)}`.includes(password), 'the password is in the error')
  }
  return true
}

describe('PostgreSQL', { skip: postgresSkip, timeout: 120_000 }, () => {
  let home: TestDatabase
  let server: PostgresServer
  before(async () => {
    home = await createTestDatabase()
    server = (await testPostgres()).serverOf(home.name)
  })
  after(() => home?.drop())
  beforeEach(async () => {
    await onPostgres(server, (client) => client.query('truncate blobs, login_failures, registries cascade'))
  })

  async function open(t: TestContext, options: Partial<PostgresOptions> = {}): Promise<Database> {
    const db = await openPostgres({ server, ...options })
    t.after(() => db.dispose())
    return db
  }

  describe('a write that meets another', () => {
    test('runs again from the start, with a handle of its own, and the handle before has ended', async (t) => {
      let retries = 0
      const db = await open(t, { onRetry: () => retries++ })
      const handles: Kysely<Tables>[] = []
      await db.write(addBlob('a', 1))
      await db.write(async (tables) => {
        handles.push(tables)
        const { size } = await tables.selectFrom('blobs').select('size').executeTakeFirstOrThrow()
        if (handles.length === 1) {
          await onPostgres(server, (client) => client.query('update blobs set size = 10'))
        }
        await tables
          .updateTable('blobs')
          .set({ size: size + 1 })
          .execute()
      })
      assert.deepEqual([handles.length, retries], [2, 1])
      await assert.rejects(countBlobs(handles[0]!), /this database handle has ended/)
      const row = await db.read((tables) => tables.selectFrom('blobs').select('size').executeTakeFirst())
      assert.deepEqual(row, { size: 11 })
    })

    test('runs again also where the function has passed over the error, or made another one of it', async (t) => {
      for (const answer of ['pass over', 'translate'] as const) {
        const db = await open(t)
        await db.write((tables) => tables.deleteFrom('blobs').execute())
        await db.write(addBlob('a', 1))
        let runs = 0
        await db.write(async (tables) => {
          runs++
          await tables.selectFrom('blobs').select('size').execute()
          if (runs === 1) await onPostgres(server, (client) => client.query('update blobs set size = 10'))
          const update = tables.updateTable('blobs').set({ size: 5 }).execute()
          await update.catch((error: unknown) => {
            if (answer === 'translate') throw new Error('something went wrong', { cause: error })
          })
        })
        const row = await db.read((tables) => tables.selectFrom('blobs').select('size').executeTakeFirst())
        assert.deepEqual([runs, row], [2, { size: 5 }], answer)
      }
    })

    test('and waits for it while it waits for us: one is let through, then the other', async (t) => {
      let retries = 0
      const db = await open(t, { onRetry: () => retries++ })
      await db.write(async (tables) => {
        for (const digest of ['a', 'b']) await addBlob(digest, 0)(tables)
      })
      const bothHaveOne = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
      const add = async (tables: Kysely<Tables>, digest: string) => {
        await tables
          .updateTable('blobs')
          .set((row) => ({ size: row('size', '+', 1) }))
          .where('digest', '=', digest)
          .execute()
      }
      const cross = (me: 0 | 1, digests: readonly [string, string]) =>
        db.write(async (tables) => {
          await add(tables, digests[0])
          bothHaveOne[me].resolve()
          await bothHaveOne[1 - me]!.promise
          await add(tables, digests[1])
        })
      await Promise.all([cross(0, ['a', 'b']), cross(1, ['b', 'a'])])
      const rows = await db.read((tables) => tables.selectFrom('blobs').select('size').execute())
      assert.deepEqual(rows, [{ size: 2 }, { size: 2 }])
      assert.ok(retries > 0)
    })

    test('runs alone in the end: a long one gets through between any number of short ones', async (t) => {
      const databases = [await open(t), await open(t)]
      await databases[0]!.write(addBlob('a', 1))
      let over = false
      const shorts = databases.map(async (db) => {
        let writes = 0
        for (; !over; writes++) {
          await db.write((tables) =>
            tables
              .updateTable('blobs')
              .set((row) => ({ size: row('size', '+', 1) }))
              .execute(),
          )
        }
        return writes
      })
      let runs = 0
      await databases[0]!.write(async (tables) => {
        runs++
        const { size } = await tables.selectFrom('blobs').select('size').executeTakeFirstOrThrow()
        await pause(50)
        await tables
          .updateTable('blobs')
          .set({ size: size + 1_000_000 })
          .execute()
      })
      over = true
      const writes = (await Promise.all(shorts)).reduce((sum, count) => sum + count, 0)
      assert.ok(runs <= 7, `${runs} runs`)
      const row = await databases[0]!.read((tables) => tables.selectFrom('blobs').select('size').executeTakeFirst())
      assert.deepEqual(row, { size: 1 + 1_000_000 + writes })
    })

    test('again and again is `unavailable` after its time, and stores nothing', async (t) => {
      const db = await open(t, { limits: { turnMs: 300 } })
      await db.write(addBlob('a', 1))
      const write = db.write(async (tables) => {
        await tables.selectFrom('blobs').select('size').execute()
        await onPostgres(server, (client) => client.query('update blobs set size = size + 1'))
        await tables.updateTable('blobs').set({ size: 0 }).execute()
      })
      await assert.rejects(write, because(/too many transactions/))
      const row = await db.read((tables) => tables.selectFrom('blobs').select('size').executeTakeFirstOrThrow())
      assert.ok(row.size > 1)
    })

    test('is not run again for an error of its own, nor for long for a key that is there twice', async (t) => {
      const db = await open(t)
      await db.write(addBlob('a'))
      const runs = { failing: 0, doubling: 0 }
      const failing = db.write(async () => {
        runs.failing++
        throw new Error('a bug')
      })
      await assert.rejects(failing, /a bug/)
      const doubling = db.write(async (tables) => {
        runs.doubling++
        await addBlob('a')(tables)
      })
      await assert.rejects(doubling, /duplicate key/)
      assert.deepEqual(runs, { failing: 1, doubling: 3 })
    })

    test('a write that goes on after a statement that failed stores nothing', async (t) => {
      const db = await open(t)
      const write = db.write(async (tables) => {
        await addBlob('a')(tables)
        await sql`select no_such_column from blobs`.execute(tables).catch(() => undefined)
      })
      await assert.rejects(write, /an earlier error has ended this transaction/)
      assert.equal(await db.read(countBlobs), 0)
    })
  })

  describe('durability', () => {
    const setting = (tables: Kysely<Tables>) =>
      sql<{ value: string }>`select current_setting('synchronous_commit') as value`
        .execute(tables)
        .then(({ rows }) => rows[0]?.value)

    test('a write waits for the disk unless it need not', async (t) => {
      const db = await open(t)
      assert.equal(await db.write(setting), 'on')
      assert.equal(await db.write(setting, { sync: false }), 'off')
      assert.equal(await db.write(setting), 'on')
    })

    test('also on a server that by itself would not wait', async (t) => {
      await onPostgres(server, (client) => client.query(`alter database ${home.name} set synchronous_commit = off`))
      t.after(() =>
        onPostgres(server, (client) => client.query(`alter database ${home.name} reset synchronous_commit`)),
      )
      const db = await open(t)
      assert.equal(await db.write(setting), 'on')
      assert.equal(await db.write(setting, { sync: false }), 'off')
    })
  })

  describe('statements', () => {
    test('what is asked twice in one turn of the event loop is asked once, and anew in the next', async (t) => {
      const db = await open(t)
      const sizeOf = fixedQuery<{ readonly digest: string }>()((tables, param) =>
        tables.selectFrom('blobs').where('digest', '=', param('digest')).select('size'),
      )
      await db.write(addBlob('a', 1))
      await db.write(addBlob('b', 2))
      const ask = (digest: string) => db.select(sizeOf, { digest })
      const [one, same, other] = await Promise.all([ask('a'), ask('a'), ask('b')])
      assert.deepEqual([one, other], [[{ size: 1 }], [{ size: 2 }]])
      assert.equal(one, same)
      await db.write((tables) => tables.updateTable('blobs').set({ size: 3 }).execute())
      assert.deepEqual(await ask('a'), [{ size: 3 }])
      const again = ask('a')
      await nextTurn()
      assert.notEqual(await again, await ask('a'))
    })

    test('are prepared once, and a connection that has prepared its fill is replaced', async (t) => {
      const db = await open(t)
      const preparedOn = (tables: Kysely<Tables>) =>
        sql<{
          pid: number
          count: number
        }>`select pg_backend_pid() as pid, count(*) as count from pg_prepared_statements`
          .execute(tables)
          .then(({ rows }) => rows[0]!)
      const distinct = (i: number) => (tables: Kysely<Tables>) =>
        sql<{ value: number }>`select ${sql.lit(i)} + size as value from blobs`.execute(tables)
      await db.write(addBlob('a', 1))
      for (const run of [db.read.bind(db), db.write.bind(db)]) {
        const pids = new Set<number>()
        let most = 0
        for (let i = 0; i < 600; i++) {
          assert.equal((await run(distinct(i))).rows[0]?.value, i + 1)
          await run(distinct(i % 7))
          if (i % 20 > 0) continue
          const { pid, count } = await run(preparedOn)
          pids.add(pid)
          most = Math.max(most, count)
        }
        assert.ok(pids.size > 1 && pids.size < 10, `${pids.size} connections`)
        assert.ok(most > 100 && most <= 250, `${most} statements`)
      }
    })

    test('long lists are not prepared: few are of the same length', async (t) => {
      const db = await open(t)
      const listOf = (length: number) => (tables: Kysely<Tables>) =>
        tables
          .selectFrom('blobs')
          .where(
            'digest',
            'in',
            Array.from({ length }, (_, i) => `${i}`),
          )
          .select('digest')
          .execute()
      await db.write(addBlob('7'))
      const rows = await db.write(async (tables) => {
        for (const length of [1, 100, 101, 102, 500]) await listOf(length)(tables)
        return sql<{ statement: string }>`select statement from pg_prepared_statements`.execute(tables)
      })
      assert.ok(rows.rows.length > 0)
      assert.deepEqual(
        rows.rows.filter(({ statement }) => statement.includes('$100')),
        [],
      )
    })

    test('go on working when a newer program has changed a table under them', async (t) => {
      const db = await open(t)
      const all = fixedQuery<object>()((tables) => tables.selectFrom('blobs').selectAll())
      const read: Run = (tables) => tables.selectFrom('blobs').selectAll().execute()
      const ways = [() => db.read(read), () => db.write(read), () => db.select(all, {})]
      for (const way of ways) await way()
      await onPostgres(server, (client) => client.query('alter table blobs add column newer bigint default 5'))
      t.after(() => onPostgres(server, (client) => client.query('alter table blobs drop column newer')))
      await db.write(addBlob('a'))
      for (const way of ways) {
        const [row] = (await way()) as { newer: number }[]
        assert.equal(row?.newer, 5)
      }
    })

    test('a number that is not exact here is an error, not another number', async (t) => {
      const db = await open(t)
      await db.write(async (tables) => {
        await addBlob('a', Number.MAX_SAFE_INTEGER)(tables)
        await addBlob('b', 2)(tables)
      })
      const sum = db.read((tables) =>
        tables
          .selectFrom('blobs')
          .select(({ fn }) => fn.sum<number>('size').as('sum'))
          .execute(),
      )
      await assert.rejects(sum, /not exact here: 9007199254740993/)
      assert.equal(await db.read(countBlobs), 2)
    })

    for (const { what, query, postgres } of indexedQueries) {
      test(`${what} is found by an index`, async (t) => {
        const db = await open(t)
        const plan = await db.write(async (tables) => {
          await sql`set local enable_seqscan = off`.execute(tables) // which an empty table would be worth
          const { rows } = await sql<{ 'QUERY PLAN': string }>`explain (costs off) ${query}`.execute(tables)
          return rows.map((row) => row['QUERY PLAN']).join('\n')
        })
        assert.match(
          plan,
          new RegExp(`(?:Index Scan|Index Only Scan) using ${postgres} |Bitmap Index Scan on ${postgres}$`, 'm'),
        )
        assert.doesNotMatch(plan, /Seq Scan/)
      })
    }
  })

  describe('connections', () => {
    const backends = (name: string) =>
      onPostgres(server, async (client) => {
        const { rows } = await client.query<{ count: string }>(
          'select count(*) from pg_stat_activity where datname = $1 and application_name = $2',
          [name, 'berth'],
        )
        return Number(rows[0]?.count)
      })

    test('a process takes few, however much it has to do', async (t) => {
      const db = await open(t)
      const work = Array.from({ length: 200 }, (_, i) => (i % 2 ? db.read(countBlobs) : db.write(addBlob(`${i}`))))
      await Promise.all(work)
      const count = await backends(home.name)
      assert.ok(count >= 2 && count <= 8, `${count} connections`)
    })

    test('it makes do with fewer where the server gives no more', async (t) => {
      await onPostgres(server, async (client) => {
        await client.query("create role narrow login password 'narrow' connection limit 2")
        await client.query('grant all on all tables in schema public to narrow')
      })
      t.after(() => onPostgres(server, (client) => client.query('drop owned by narrow; drop role narrow')))
      const db = await openPostgres({ server: { ...server, user: 'narrow', password: 'narrow' } })
      await db.read(countBlobs)
      await Promise.all(Array.from({ length: 30 }, (_, i) => db.write(addBlob(`${i}`))))
      assert.equal(await db.read(countBlobs), 30)
      await db.dispose()
    })

    test('a write that waits too long for its turn is `unavailable`', async (t) => {
      const db = await open(t, { limits: { turnMs: 100 } })
      const goOn = Promise.withResolvers<void>()
      const begun: Promise<void>[] = []
      const holding = Array.from({ length: 4 }, () => {
        const started = Promise.withResolvers<void>()
        begun.push(started.promise)
        return db.write(async () => {
          started.resolve()
          await goOn.promise
        })
      })
      await Promise.all(begun)
      await assert.rejects(db.write(countBlobs), because(/too many transactions wait/))
      goOn.resolve()
      await Promise.all(holding)
      assert.equal(await db.write(countBlobs), 0)
    })

    test('a statement that takes too long is `unavailable`, and the others go on', async (t) => {
      const db = await open(t, { limits: { readMs: 200, writeMs: 200 } })
      const sleep: Run = (tables) => sql`select pg_sleep(30)`.execute(tables)
      for (const run of [db.read.bind(db), db.write.bind(db)]) {
        await assert.rejects(run(sleep), because(/took too long/))
        assert.equal(await run(countBlobs), 0)
      }
    })

    test('a commit whose answer is lost is `unavailable`, and is not tried again', async (t) => {
      await using gate = await startTcpGate(server.port)
      const db = await open(t, { server: { ...server, port: gate.port } })
      await db.write(addBlob('before'))
      let runs = 0
      const lost = gate.loseAnswerTo('COMMIT')
      const write = db.write(async (tables) => {
        runs++
        await addBlob('perhaps')(tables)
      })
      await assert.rejects(write, because(/connection to the database was lost/))
      await lost
      assert.equal(runs, 1)
      // It was done, as it happens; the next write is not held up by it.
      await db.write(addBlob('after'))
      assert.equal(await db.read(countBlobs), 3)
    })

    test('a connection lost in the middle of a write takes the write with it', async (t) => {
      await using gate = await startTcpGate(server.port)
      const db = await open(t, { server: { ...server, port: gate.port } })
      const write = db.write(async (tables) => {
        await addBlob('a')(tables)
        gate.state = 'shut'
        gate.state = 'open'
        await addBlob('b')(tables)
      })
      await assert.rejects(write, because(/connection to the database was lost/))
      assert.equal(await db.write(countBlobs), 0)
    })

    test('a network that swallows everything is `unavailable` after the time limit, and then at once', async (t) => {
      await using gate = await startTcpGate(server.port)
      const db = await open(t, { server: { ...server, port: gate.port }, limits: { readMs: 200, writeMs: 200 } })
      await Promise.all([db.read(countBlobs), db.write(countBlobs)])
      gate.state = 'silent'
      const began = performance.now()
      const reads = Array.from({ length: 20 }, () => assert.rejects(db.read(countBlobs), isUnavailable))
      await Promise.all([...reads, assert.rejects(db.write(countBlobs), isUnavailable)])
      assert.ok(performance.now() - began < 3_000, 'it took too long')
      gate.state = 'shut'
      await assert.rejects(db.read(countBlobs), isUnavailable)
      gate.state = 'open'
      await until(() => db.read(countBlobs))
      await until(() => db.write(countBlobs))
    })
  })

  describe('opening', () => {
    test('many may open a new database at once', async (t) => {
      const postgres = await testPostgres()
      const name = `${home.name}_new`
      const admin = postgres.serverOf('postgres')
      await onPostgres(admin, (client) => client.query(`create database ${name}`))
      t.after(() => onPostgres(admin, (client) => client.query(`drop database ${name} with (force)`)))
      const all = await Promise.all(Array.from({ length: 6 }, () => openPostgres({ server: postgres.serverOf(name) })))
      for (const db of all) {
        assert.equal(await db.read(countBlobs), 0)
        await db.dispose()
      }
    })

    test('a database that a newer program has used is refused by name', async (t) => {
      await onPostgres(server, (client) =>
        client.query("insert into kysely_migration values ('9999-from-the-future', '2030-01-01T00:00:00.000Z')"),
      )
      t.after(() =>
        onPostgres(server, (client) => client.query("delete from kysely_migration where name like '9999%'")),
      )
      await assert.rejects(openPostgres({ server }), (error) => {
        assert.match(
          String(error),
          /postgres:\/\/berth@127\.0\.0\.1:\d+\/berth_\w+ was used by a newer version of Berth.*9999-/,
        )
        return assertSecretKept(error, server)
      })
    })

    test("another program's tables, in another schema, are not taken for ours", async (t) => {
      const postgres = await testPostgres()
      const name = `${home.name}_schemas`
      const admin = postgres.serverOf('postgres')
      await onPostgres(admin, (client) => client.query(`create database ${name}`))
      t.after(() => onPostgres(admin, (client) => client.query(`drop database ${name} with (force)`)))
      await onPostgres(postgres.serverOf(name), (client) =>
        client.query(
          'create schema other; create table other.kysely_migration (name text); create table other.blobs ()',
        ),
      )
      const db = await openPostgres({ server: postgres.serverOf(name) })
      assert.equal(await db.read(countBlobs), 0)
      await db.dispose()
    })

    test('a wrong password or a database that is not there is told at once, without the password', async () => {
      for (const [wrong, message] of [
        [{ password: 'hunter2' }, /password authentication failed for user "berth"/],
        [{ password: undefined }, /the server asks for a password, and neither/],
        [{ database: 'none' }, /database "none" does not exist/],
      ] as const) {
        const asked = { ...server, ...wrong }
        await assert.rejects(openPostgres({ server: asked, patienceMs: 60_000 }), (error) => {
          assert.match(String(error), message)
          return assertSecretKept(error, { ...asked, password: asked.password ?? 'unheard of' })
        })
      }
    })

    test('a server that is not UTF-8 is refused', async (t) => {
      const postgres = await testPostgres()
      const name = `${home.name}_latin`
      const admin = postgres.serverOf('postgres')
      const make = `create database ${name} template template0 encoding 'LATIN1' locale_provider libc locale 'C'`
      await onPostgres(admin, (client) => client.query(make))
      t.after(() => onPostgres(admin, (client) => client.query(`drop database ${name} with (force)`)))
      await assert.rejects(
        openPostgres({ server: postgres.serverOf(name) }),
        /is encoded in LATIN1; make a database with/,
      )
    })
  })

  describe('a server that crashes', () => {
    let own: OwnPostgres
    before(async () => {
      own = await startPostgres()
      await onPostgres(own.serverOf('postgres'), async (client) => {
        await client.query("alter system set wal_writer_delay = '10s'") // the longest there is
        await client.query("alter system set wal_writer_flush_after = '1GB'")
        await client.query('select pg_reload_conf()')
      })
    })
    after(() => own?.[Symbol.asyncDispose]())

    for (const commit of ['on', 'off'] as const) {
      test(`has what was made durable, with synchronous_commit = ${commit}`, async (t) => {
        const at = own.serverOf('postgres')
        await onPostgres(at, (client) => client.query(`alter database postgres set synchronous_commit = ${commit}`))
        const [db, other] = [await openPostgres({ server: at }), await openPostgres({ server: at })]
        t.after(() => Promise.all([db.dispose(), other.dispose()]))
        const unflushed = async (): Promise<boolean> => {
          const query = sql<{ is: boolean }>`select pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() as is`
          return (await db.read((tables) => query.execute(tables))).rows[0]?.is === true
        }
        let count = await db.read(countBlobs)
        // The server flushes by itself now and then.
        for (const last = count + 5; count < last && !(await unflushed()); count++)
          await other.write(addBlob(`${commit} ${count}`), { sync: false })
        assert.equal(await unflushed(), true)
        await db.makeDurable()
        assert.equal(await unflushed(), false)
        await own.stop('immediate')
        await own.start()
        await until(async () => assert.equal(await db.read(countBlobs), count))
      })
    }
  })

  describe('a server that comes and goes', () => {
    let own: OwnPostgres
    before(async () => {
      own = await startPostgres()
    })
    after(() => own?.[Symbol.asyncDispose]())

    test('is waited for at the start, with a word about it, and not for ever', async () => {
      const at = own.serverOf('postgres')
      await own.stop()
      await assert.rejects(openPostgres({ server: at }), (error) => {
        assert.match(String(error), /postgres:\/\/berth@127\.0\.0\.1:\d+\/postgres: connect ECONNREFUSED/)
        return assertSecretKept(error, at)
      })
      const told: string[] = []
      const opening = openPostgres({ server: at, patienceMs: 60_000, onWaiting: (reason) => void told.push(reason) })
      await until(async () => assert.equal(told.length, 1))
      await own.start()
      const db = await opening
      assert.match(told[0] ?? '', /^connect ECONNREFUSED/)
      assert.equal(await db.read(countBlobs), 0)
      await db.dispose()
    })

    for (const how of ['fast', 'immediate'] as const) {
      test(`when it is gone (${how}), everything is \`unavailable\` at once; when it is back, all goes on`, async (t) => {
        const db = await openPostgres({ server: own.serverOf('postgres') })
        t.after(() => db.dispose())
        await db.write(async (tables) => {
          await tables.deleteFrom('registries').execute()
          await aRegistry(tables)
        })
        const busy = db.write((tables) => sql`select pg_sleep(30)`.execute(tables))
        await db.read(countBlobs)
        await pause(50)
        await Promise.all([own.stop(how), assert.rejects(busy, isUnavailable)])
        const began = performance.now()
        for (let i = 0; i < 20; i++) {
          await assert.rejects(db.read(countBlobs), because(/cannot be reached|was lost|shutting down/))
          await assert.rejects(db.write(countBlobs), because(/cannot be reached|was lost|shutting down/))
        }
        assert.ok(performance.now() - began < 2_000, 'refusing took too long')
        await own.start()
        await until(() => db.read(countBlobs))
        await until(() => db.write(countBlobs))
        const rows = await db.read((tables) => tables.selectFrom('registries').select('name').execute())
        assert.deepEqual(rows, [{ name: 'berth' }])
      })
    }
  })
})

describe('PostgreSQL over TLS', { skip: postgresSkip, timeout: 120_000 }, () => {
  let own: OwnPostgres
  let folder: string
  let authority: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-postgres-tls-'))
    const pair = await createAuthority(['127.0.0.1'], Date.now())
    authority = join(folder, 'ca.pem')
    await writeFile(authority, pair.certificate)
    await writeFile(join(folder, 'other.pem'), (await createAuthority(['127.0.0.1'], Date.now())).certificate)
    own = await startPostgres(await (await createIssuer(pair))(['127.0.0.1'], Date.now()))
  })
  after(async () => {
    await own?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  const isEncrypted = async (asked: Partial<PostgresServer>) => {
    const db = await openPostgres({ server: { ...own.serverOf('postgres'), ...asked } })
    const query = sql<{ ssl: boolean }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`
    const { rows } = await db.read((tables) => query.execute(tables))
    await db.dispose()
    return rows[0]?.ssl
  }

  test('is used where it is asked for', async () => {
    assert.equal(await isEncrypted({ tls: 'disable' }), false)
    assert.equal(await isEncrypted({ tls: 'require' }), true)
    assert.equal(await isEncrypted({ tls: 'verify-ca', rootCertificate: authority }), true)
    assert.equal(await isEncrypted({ tls: 'verify-ca', rootCertificate: authority, host: 'localhost' }), true)
    assert.equal(await isEncrypted({ tls: 'verify-full', rootCertificate: authority }), true)
  })

  test('is refused where the server cannot prove who it is', async () => {
    const other = join(folder, 'other.pem')
    await assert.rejects(isEncrypted({ tls: 'verify-full' }), /unable to verify the first certificate/)
    for (const tls of ['require', 'verify-ca', 'verify-full'] as const) {
      await assert.rejects(isEncrypted({ tls, rootCertificate: other }), /unable to verify|signature failure/, tls)
    }
    const elsewhere = isEncrypted({ tls: 'verify-full', rootCertificate: authority, host: 'localhost' })
    await assert.rejects(elsewhere, /does not match certificate/)
    await assert.rejects(isEncrypted({ tls: 'verify-full', rootCertificate: join(folder, 'none.pem') }), /none\.pem/)
  })

  test('a server that does not speak it says what to do', async () => {
    const plain = { ...(await testPostgres()).serverOf('postgres'), tls: 'verify-full' } as const
    await assert.rejects(openPostgres({ server: plain }), /does not speak TLS; .* add \?sslmode=disable$/)
  })
})

/** Tries until it succeeds. */
async function until(attempt: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 20_000
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await pause(20)
  }
}
