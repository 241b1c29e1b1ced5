import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import type { Config } from '@berth/server/config/config.ts'
import { loadConfig } from '@berth/server/config/load.ts'
import { openAuthority } from '@berth/server/tls/authority.ts'
import { docker, podman } from '../trust/container-engines.ts'
import { az, java, node } from '../trust/languages.ts'
import type { Machine } from '../trust/machine.ts'
import { systemStore } from '../trust/system-store.ts'
import { applyTrust, readAuthority, trustCommands } from './trust.ts'

const root = mkdtempSync(join(tmpdir(), 'berth-trust-'))
after(() => rmSync(root, { recursive: true }))
const config: Config = loadConfig({ flags: { data: join(root, 'data') }, env: {}, terminal: false })
await openAuthority({ folder: join(root, 'data', 'tls'), domain: 'localhost' })
const authority = readAuthority(config, ['berth'])
const targets = [systemStore, docker, podman, az, node, java]

let machines = 0

/** A Linux machine below a folder of its own, with these programs; it remembers what was run. */
function aMachine(programs: readonly string[], given: Partial<Machine> = {}) {
  const home = join(root, `machine-${++machines}`)
  const ran: string[] = []
  const machine: Machine = {
    platform: 'linux',
    isRoot: true,
    home,
    env: {},
    path: (absolute) => join(home, absolute),
    has: (program) => programs.includes(program),
    run(program, args) {
      const line = [program, ...args].join(' ')
      ran.push(line)
      if (line.includes('-list')) throw new Error('alias does not exist')
      return ''
    },
    ...given,
  }
  return { machine, ran, home }
}

function apply(machine: Machine) {
  const lines: string[] = []
  const code = applyTrust(authority, machine, targets, (line) => lines.push(line))
  return { code, lines }
}

suite('berth trust', () => {
  test('says where the authority is and what to type for every program', () => {
    const lines = trustCommands(authority, aMachine(['update-ca-certificates']).machine, targets)
    const text = lines.join('\n')
    assert.match(text, new RegExp(`sudo cp .*ca\\.pem /usr/local/share/ca-certificates/${authority.id}\\.crt`))
    assert.match(text, /sudo mkdir -p \/etc\/docker\/certs\.d\/localhost:8443 /)
    assert.match(text, /\/etc\/docker\/certs\.d\/berth\.localhost:8443\/ca\.crt/)
    assert.match(text, /\/etc\/containers\/certs\.d\/localhost:8443\/ca\.crt/)
    assert.match(text, /export REQUESTS_CA_BUNDLE=/)
    assert.match(text, /export NODE_EXTRA_CA_CERTS=/)
    assert.match(text, /keytool -importcert .* -alias berth-[0-9a-f]{8} /)
    const mac = trustCommands(authority, aMachine([], { platform: 'darwin' }).machine, targets).join('\n')
    assert.match(mac, /sudo security add-trusted-cert -d -r trustRoot /)
  })

  test('--apply does what it may, and says so', () => {
    const { machine, ran, home } = aMachine(['update-ca-certificates', 'docker', 'podman', 'az', 'keytool'])
    const { code, lines } = apply(machine)
    assert.equal(code, 0)
    assert.deepEqual(
      lines.map((line) => /: (done|was done already|skipped because)/.exec(line)?.[1]),
      ['done', 'done', 'done', 'done', 'skipped because', 'done'],
    )
    assert.equal(
      readFileSync(join(home, 'usr/local/share/ca-certificates', `${authority.id}.crt`), 'utf8'),
      authority.pem,
    )
    assert.equal(readFileSync(join(home, 'etc/docker/certs.d/localhost:8443/ca.crt'), 'utf8'), authority.pem)
    assert.equal(readFileSync(join(home, 'etc/containers/certs.d/berth.localhost:8443/ca.crt'), 'utf8'), authority.pem)
    const bundle = readFileSync(join(root, 'data/tls/ca-bundle.pem'), 'utf8')
    assert.ok(bundle.endsWith(authority.pem))
    assert.ok(bundle.split('-----BEGIN CERTIFICATE-----').length > 100)
    assert.ok(ran.includes('update-ca-certificates'))
  })

  test('--apply changes nothing the second time', () => {
    const { machine, ran } = aMachine(['update-ca-certificates', 'docker', 'podman'])
    apply(machine)
    const before = ran.length
    const { code, lines } = apply(machine)
    assert.equal(code, 0)
    assert.equal(lines.filter((line) => line.includes('was done already')).length, 3)
    assert.equal(ran.length, before)
  })

  test("az's bundle builds on the one that the user already has", () => {
    const own = join(root, 'corporate.pem')
    writeFileSync(own, 'the company\n')
    const { machine } = aMachine(['az'], { env: { REQUESTS_CA_BUNDLE: own } })
    apply(machine)
    assert.equal(readFileSync(join(root, 'data/tls/ca-bundle.pem'), 'utf8'), `the company\n\n${authority.pem}`)
  })

  test('--apply ends with 1 when nothing could be done', () => {
    const { code, lines } = apply(aMachine([]).machine)
    assert.equal(code, 1)
    assert.ok(lines.every((line) => line.includes('skipped because')))
  })

  test('a store that cannot be rebuilt is not left half done', () => {
    const { machine, home } = aMachine(['update-ca-certificates'], {
      run: () => {
        throw new Error('disk full')
      },
    })
    const { code, lines } = apply(machine)
    assert.equal(code, 1)
    assert.match(lines[0] ?? '', /skipped because update-ca-certificates failed: disk full/)
    assert.throws(() => readFileSync(join(home, 'usr/local/share/ca-certificates', `${authority.id}.crt`)))
  })

  test('a folder that this user may not write is skipped', {
    skip: process.getuid?.() === 0 && 'root may write anywhere',
  }, () => {
    const { machine, home } = aMachine(['docker'])
    mkdirSync(home, { recursive: true })
    chmodSync(home, 0o500)
    assert.match(apply(machine).lines[1] ?? '', /skipped because .* cannot be written by this user/)
    chmodSync(home, 0o700)
  })

  test('there is nothing to trust with plain HTTP or with a certificate of one’s own', () => {
    assert.throws(() => readAuthority({ ...config, tls: { kind: 'none' } }, []), /plain HTTP/)
    const tls = { kind: 'files', certificate: '/c.pem', key: '/k.pem' } as const
    assert.throws(() => readAuthority({ ...config, tls }, []), /\/c\.pem/)
  })
})
