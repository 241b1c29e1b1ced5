import assert from 'node:assert/strict'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { formatDatabaseUrl, parseDatabaseUrl } from './database-url.ts'
import { ConfigError, loadConfig } from './load.ts'

const near = { kind: 'postgres', port: 5432, user: 'berth', database: 'berth' } as const

describe('--database', () => {
  for (const [url, expected] of [
    ['postgres://berth@localhost/berth', { ...near, host: 'localhost', tls: 'disable' }],
    ['postgresql://berth@127.0.0.1:5433', { ...near, host: '127.0.0.1', port: 5433, tls: 'disable' }],
    ['postgres://berth@[::1]:6000/x', { ...near, host: '::1', port: 6000, database: 'x', tls: 'disable' }],
    ['postgres://berth@db.example.com/berth', { ...near, host: 'db.example.com', tls: 'verify-full' }],
    [
      'postgres://berth:p%40ss%2Fw%23rd@10.0.0.1/my%20db?sslmode=require&sslrootcert=ca.pem&passfile=pw',
      {
        ...near,
        host: '10.0.0.1',
        database: 'my db',
        tls: 'require',
        password: 'p@ss/w#rd',
        rootCertificate: 'ca.pem',
        passfile: 'pw',
      },
    ],
    ['postgres://berth@%2Frun%2Fpostgresql/berth', { ...near, host: '/run/postgresql', tls: 'disable' }],
    [
      'postgres:///berth?host=/run/postgresql&user=me&port=5433',
      { ...near, host: '/run/postgresql', user: 'me', port: 5433, tls: 'disable' },
    ],
  ] as const) {
    test(`${url} is understood, and written again without its password`, () => {
      const parsed = parseDatabaseUrl(url)
      assert.deepEqual(parsed, expected)
      assert.ok(typeof parsed !== 'string')
      const { password = 'none', ...rest } = parsed
      const written = formatDatabaseUrl(parsed)
      assert.ok(!decodeURIComponent(written).includes(password))
      assert.deepEqual(parseDatabaseUrl(written), rest)
    })
  }

  for (const [url, mistake] of [
    ['hunter2', /^must be a URL like postgres:\/\/user@host:5432\/database$/],
    ['mysql://berth:hunter2@localhost/berth', /^must be a URL like postgres:/],
    ['postgres://berth:hunter2@local host/berth', /percent-encoded$/],
    ['postgres://berth:hunter2%@localhost/berth', /percent-encoded$/],
    ['postgres://berth:12/hunter2@localhost/berth', /^must name a user/],
    ['postgres://berth:12?hunter2@localhost/berth', /^has a parameter that is not known; known are host, port,/],
    ['postgres://berth:12#hunter2@localhost/berth', /^must have no "#"; write one in a password as %23$/],
    ['postgres://localhost/berth', /^must name a user: postgres:\/\/user@host:5432\/database$/],
    ['postgres:///berth?user=berth', /^must name a host/],
    ['postgres://berth@localhost/berth/hunter2', /^must name one database/],
    ['postgres://berth@localhost/berth?port=70000', /^must have a port from 1 to 65535$/],
    [
      'postgres://berth@localhost/berth?sslmode=prefer',
      /^must have one of disable, require, verify-ca, verify-full as/,
    ],
    ['postgres://berth@localhost/berth?password=hunter2', /^has a parameter that is not known/],
  ] as const) {
    test(`${url} is a mistake, of which nothing is repeated`, () => {
      const flags = { database: url, port: '0' }
      const mistakes = mistakesOf(flags, {})
      assert.equal(mistakes.length, 1)
      assert.match(mistakes[0]?.replace(/^--database: /, '') ?? '', mistake)
      assert.ok(!mistakes[0]?.includes('hunter2'))
    })
  }

  const load = (database: string, env: Record<string, string> = {}) =>
    loadConfig({ flags: { database }, env, cwd: '/somewhere', terminal: false }).db

  test('the password comes from the URL, else from PGPASSWORD, else from the passfile', () => {
    const passwordOf = (url: string, env: Record<string, string> = {}) => {
      const db = load(url, env)
      return db.kind === 'postgres' ? [db.password, db.passfile] : []
    }
    const usual = join(homedir(), '.pgpass')
    assert.deepEqual(passwordOf('postgres://berth:own@db/b', { PGPASSWORD: 'other' }), ['own', usual])
    assert.deepEqual(passwordOf('postgres://berth@db/b', { PGPASSWORD: 'other' }), ['other', usual])
    assert.deepEqual(passwordOf('postgres://berth@db/b', { PGPASSFILE: '/etc/pgpass' }), [undefined, '/etc/pgpass'])
    assert.deepEqual(passwordOf('postgres://berth@db/b?passfile=pw'), [undefined, resolve('/somewhere/pw')])
    assert.deepEqual(passwordOf('postgres://berth@db/b', { PGPASSWORD: '' }), [undefined, usual])
  })

  test('without it, the database is a file of the data folder', () => {
    const config = loadConfig({ flags: { data: '/srv/berth' }, env: {}, terminal: false })
    assert.deepEqual(config.db, { kind: 'sqlite', file: resolve('/srv/berth/berth.db') })
    assert.equal(config.secretKey, resolve('/srv/berth/secret.key'))
  })

  test('the secret key may be elsewhere', () => {
    const config = loadConfig({ flags: { 'secret-key': 'key' }, env: {}, cwd: '/somewhere', terminal: false })
    assert.equal(config.secretKey, resolve('/somewhere/key'))
  })

  test('what an earlier start was told counts where nothing else says anything', () => {
    const remembered = { database: 'postgres://berth@db/remembered', 'secret-key': '/etc/key' }
    const load = (env: Record<string, string>) => loadConfig({ flags: {}, env, remembered, terminal: false })
    const databaseOf = (env: Record<string, string>) => {
      const { db } = load(env)
      return db.kind === 'postgres' ? db.database : undefined
    }
    assert.equal(databaseOf({}), 'remembered')
    assert.equal(load({}).secretKey, '/etc/key')
    assert.equal(databaseOf({ BERTH_DATABASE: 'postgres://berth:pw@db/own' }), 'own')
  })
})

function mistakesOf(flags: Record<string, string>, env: Record<string, string>): readonly string[] {
  try {
    loadConfig({ flags, env, terminal: false })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.mistakes
  }
}
