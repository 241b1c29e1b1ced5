import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { createAuthority } from '../tls/issue.ts'
import type { AzureBlobConfig, Config } from './config.ts'
import { ConfigError, type ConfigSources, loadConfig } from './load.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-config-'))
after(() => rmSync(folder, { recursive: true }))

function load(sources: Partial<ConfigSources> = {}): Config {
  return loadConfig({ flags: {}, env: {}, cwd: folder, terminal: false, ...sources })
}

function mistakesOf(sources: Partial<ConfigSources>): readonly string[] {
  try {
    load(sources)
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
  return []
}

function aFile(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

suite('configuration', () => {
  test('has a default for everything', () => {
    const { workers, ...config } = load()
    assert.ok(workers >= 1)
    assert.deepEqual(config, {
      host: '127.0.0.1',
      port: 8443,
      domain: 'localhost',
      publicPort: 8443,
      dataFolder: join(folder, 'data'),
      secretKey: join(folder, 'data', 'secret.key'),
      tls: { kind: 'local-authority', folder: join(folder, 'data', 'tls') },
      drainSeconds: 20,
      trustedProxies: [],
      blobs: { kind: 'filesystem', folder: join(folder, 'data', 'blobs') },
      db: { kind: 'sqlite', file: join(folder, 'data', 'berth.db') },
      collection: { intervalMs: 600_000, graceMs: 86_400_000, uploadExpiryMs: 604_800_000 },
      scrub: { periodMs: 2_592_000_000 },
      log: { level: 'info', format: 'json' },
    })
  })

  test('flags win over variables, and variables over the file', () => {
    const config = aFile('order.yaml', 'port: 1001\nworkers: 3\nlog-level: warn\n')
    const env = { BERTH_CONFIG: config, BERTH_PORT: '1002', BERTH_WORKERS: '4' }
    const loaded = load({ flags: { port: '1003' }, env })
    assert.deepEqual([loaded.port, loaded.workers, loaded.log.level], [1003, 4, 'warn'])
  })

  test('an empty variable counts as not set', () => {
    assert.equal(load({ env: { BERTH_PORT: '' } }).port, 8443)
  })

  test('the variable that Kubernetes sets for a Service called "berth" is no port', () => {
    assert.equal(load({ env: { BERTH_PORT: 'tcp://10.0.0.1:8443' } }).port, 8443)
  })

  test('a domain may carry the port that clients see', () => {
    const { domain, publicPort, port } = load({ flags: { domain: 'Registry.Example.com:443', port: '5000' } })
    assert.deepEqual({ domain, publicPort, port }, { domain: 'registry.example.com', publicPort: 443, port: 5000 })
  })

  test('every mistake is reported at once, each with its source', () => {
    const config = aFile('berth.yaml', 'workers: none\ndrain_seconds: 5\nhttp: perhaps\nlogFormat: json\nquux: 1\n')
    const env = { BERTH_CONFIG: config, BERTH_DOMAIN: 'a_b', BERTH_TRUSTED_PROXIES: '10.0.0.0/8, 300.1.1.1, ::1/200' }
    assert.deepEqual(
      mistakesOf({ flags: { port: '70000', 'log-level': 'loud', 'tls-key': 'missing.pem' }, env }).toSorted(),
      [
        '--log-level: must be one of trace, debug, info, warn, error, silent',
        '--port: must be a whole number from 0 to 65535',
        `--tls-key: cannot read ${join(folder, 'missing.pem')} (ENOENT)`,
        '--tls-key: needs --tls-cert (BERTH_TLS_CERT) too',
        'BERTH_DOMAIN: must be a domain name, with a port or without: localhost, registry.example.com:443',
        'BERTH_TRUSTED_PROXIES: "300.1.1.1" is neither an address nor a network (10.0.0.0/8)',
        'BERTH_TRUSTED_PROXIES: "::1/200" is neither an address nor a network (10.0.0.0/8)',
        'berth.yaml: drain_seconds: is not a setting; did you mean drain-seconds?',
        'berth.yaml: http: must be yes or no',
        'berth.yaml: logFormat: is not a setting; did you mean log-format?',
        'berth.yaml: quux: is not a setting',
        'berth.yaml: workers: must be a whole number from 1 to 64',
      ],
    )
  })

  test('a file may use the types of YAML', () => {
    const config = aFile('typed.yaml', 'http: true\ntrusted-proxies: [10.0.0.0/8, "::1"]\nport: "9000"\nworkers:\n')
    const loaded = load({ flags: { config } })
    assert.deepEqual([loaded.tls, loaded.trustedProxies, loaded.port], [{ kind: 'none' }, ['10.0.0.0/8', '::1'], 9000])
  })

  test("relative paths in a file start at the file's folder, those of flags at the current one", () => {
    const config = aFile('paths.yaml', 'data: here\n')
    assert.equal(load({ flags: { config }, cwd: '/' }).dataFolder, join(folder, 'here'))
    assert.equal(load({ flags: { config, data: 'there' }, cwd: '/' }).dataFolder, '/there')
  })

  test('a file that cannot be read or parsed is a mistake', () => {
    const missing = join(folder, 'none.yaml')
    assert.deepEqual(mistakesOf({ flags: { config: missing } }), [`--config: cannot read ${missing} (ENOENT)`])
    const list = aFile('list.yaml', '- port\n')
    assert.deepEqual(mistakesOf({ flags: { config: list } }), [
      'list.yaml: must hold settings, one "name: value" a line',
    ])
    const broken = aFile('broken.yaml', 'port: [\n')
    assert.match(mistakesOf({ flags: { config: broken } }).join(), /^broken\.yaml: .* at line 2/)
    assert.deepEqual(mistakesOf({ flags: { config: aFile('nested.yaml', 'config: other.yaml\n') } }), [
      'nested.yaml: config: is not a setting',
    ])
  })

  test('a certificate and its key belong together and exclude plain HTTP', async () => {
    const [pair, other] = [
      await createAuthority(['localhost'], Date.now()),
      await createAuthority(['localhost'], Date.now()),
    ]
    const certificate = aFile('cert.pem', pair.certificate)
    const key = aFile('key.pem', pair.key)
    assert.match(
      mistakesOf({ flags: { 'tls-cert': certificate, 'tls-key': aFile('other.pem', other.key) } }).join(),
      /^--tls-key: does not belong to --tls-cert \(.*mismatch\)$/,
    )
    assert.deepEqual(load({ flags: { 'tls-cert': 'cert.pem', 'tls-key': key } }).tls, {
      kind: 'files',
      certificate,
      key,
    })
    assert.deepEqual(mistakesOf({ flags: { 'tls-cert': certificate } }), [
      '--tls-cert: needs --tls-key (BERTH_TLS_KEY) too',
    ])
    assert.deepEqual(mistakesOf({ flags: { http: true }, env: { BERTH_TLS_CERT: certificate, BERTH_TLS_KEY: key } }), [
      '--http: excludes BERTH_TLS_CERT; plain HTTP has no certificate',
    ])
    const text = aFile('not.pem', 'hello')
    assert.deepEqual(mistakesOf({ flags: { 'tls-cert': text, 'tls-key': key } }), [
      `--tls-cert: ${text} is not a PEM file`,
    ])
  })

  test('durations are a number and a unit, and collection may be off', () => {
    const flags = { 'gc-interval': 'off', 'gc-grace': '0s', 'upload-expiry': '90m' }
    assert.deepEqual(load({ flags }).collection, { intervalMs: 'off', graceMs: 0, uploadExpiryMs: 5_400_000 })
    assert.deepEqual(mistakesOf({ flags: { 'gc-interval': '0s', 'gc-grace': 'off', 'upload-expiry': '1h30m' } }), [
      '--gc-interval: must be a duration of 1s or more such as 30s, 10m, 24h or 7d, or off',
      '--gc-grace: must be a duration such as 30s, 10m, 24h or 7d',
      '--upload-expiry: must be a duration of 1m or more such as 30s, 10m, 24h or 7d',
    ])
  })

  test('blobs are in an object store where one is named, and clients are sent there unless that is turned off', () => {
    const { blobs } = load({ flags: { blobs: 's3://bucket/prefix?region=x' }, env: { BERTH_BLOB_REDIRECTS: 'no' } })
    assert.deepEqual(blobs, {
      kind: 's3',
      bucket: 'bucket',
      prefix: 'prefix/',
      endpoint: undefined,
      region: 'x',
      pathStyle: false,
      redirects: false,
    })
    assert.equal(
      (load({ flags: { blobs: 'azure-blob://account/container' } }).blobs as AzureBlobConfig).redirects,
      true,
    )
    assert.deepEqual(mistakesOf({ env: { BERTH_BLOBS: 's3://key:secret@bucket' } }), [
      "BERTH_BLOBS: must hold no credentials: they come from the environment, files or the machine's identity",
    ])
  })

  test('scrubbing may take a minute or longer, or be off', () => {
    assert.deepEqual(load({ flags: { scrub: 'off' } }).scrub, { periodMs: 'off' })
    assert.deepEqual(load({ env: { BERTH_SCRUB: '1m' } }).scrub, { periodMs: 60_000 })
    assert.deepEqual(mistakesOf({ flags: { scrub: '59s' } }), [
      '--scrub: must be a duration of 1m or more such as 30s, 10m, 24h or 7d, or off',
    ])
  })

  test('a data folder that is a file is a mistake', () => {
    const data = aFile('data-file', '')
    assert.deepEqual(mistakesOf({ flags: { data } }), [`--data: ${data} is not a folder`])
  })

  test('an address is no domain, and a host may be written in brackets', () => {
    assert.equal(mistakesOf({ flags: { domain: '10.0.0.1' } }).length, 1)
    assert.equal(load({ flags: { host: '[::1]' } }).host, '::1')
  })
})
