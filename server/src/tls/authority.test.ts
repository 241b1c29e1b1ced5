import assert from 'node:assert/strict'
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { connect, createServer, type SecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { manualClock } from '../base/clock.ts'
import { type Authority, openAuthority } from './authority.ts'
import type { CertificatePair } from './certificate-pair.ts'
import { createAuthority, createIssuer } from './issue.ts'

const dayMs = 86_400_000
const root = mkdtempSync(join(tmpdir(), 'berth-authority-'))
after(() => rmSync(root, { recursive: true }))

let folders = 0
const aFolder = () => join(root, String(++folders))

/** What a client sees that trusts only this authority: the certificate's names, or an error. */
async function handshake(t: TestContext, authority: Authority, host: string, pair?: CertificatePair): Promise<string> {
  const { certificate, key } = pair ?? (await authority.defaultCertificate())
  const server = createServer({
    cert: certificate,
    key,
    SNICallback: (name, done) => {
      authority.certificateFor(name).then((context) => done(null, context as SecureContext), done)
    },
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const ca = readFileSync(authority.certificateFile)
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca, servername: host }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

const namesOf = ({ certificate }: CertificatePair) => new X509Certificate(certificate).subjectAltName

suite('the local authority', () => {
  test('is made on the first start, reused by later ones, and its key is private', async () => {
    const folder = aFolder()
    const first = await openAuthority({ folder, domain: 'localhost' })
    assert.deepEqual([first.created, first.replaced], [true, undefined])
    const second = await openAuthority({ folder, domain: 'localhost' })
    assert.deepEqual([second.created, second.replaced], [false, undefined])
    assert.deepEqual(await second.defaultCertificate(), await first.defaultCertificate())
    const modes = readdirSync(folder).map((name) => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)])
    assert.deepEqual(modes.sort(), [
      ['ca.key', '600'],
      ['ca.pem', '644'],
      ['server.pem', '600'],
    ])
  })

  test('vouches by default for localhost, both loopbacks, the domain and the extra names', async () => {
    const options = { domain: 'registry.example.com', extraNames: ['10.1.2.3', 'Other.Example.NET', '::1'] }
    const authority = await openAuthority({ folder: aFolder(), ...options })
    assert.equal(
      namesOf(await authority.defaultCertificate()),
      'DNS:localhost, DNS:registry.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, ' +
        'IP Address:10.1.2.3, DNS:other.example.net',
    )
  })

  test('issues one certificate a name on demand, once, for names below the domain and localhost only', async (t) => {
    const authority = await openAuthority({ folder: aFolder(), domain: 'registry.example.com' })
    assert.equal(await handshake(t, authority, 'berth.localhost'), 'DNS:berth.localhost')
    assert.equal(await handshake(t, authority, 'a.b.registry.example.com'), 'DNS:a.b.registry.example.com')
    const [one, other] = await Promise.all(
      ['x.localhost', 'X.LOCALHOST.'].map((name) => authority.certificateFor(name)),
    )
    assert.ok(one !== undefined && one === other)
    for (const name of [
      'localhost',
      '127.0.0.1',
      'example.com',
      'evil-localhost',
      'registry.example.com.evil',
      '10.0.0.1',
      '*.localhost',
      '',
    ]) {
      assert.equal(await authority.certificateFor(name), undefined, name)
    }
    assert.ok((await authority.certificateFor('127.9.9.9')) !== undefined)
  })

  test('is the same for several processes that start at once', async () => {
    const folder = aFolder()
    const script = `
      const { openAuthority } = await import(${JSON.stringify(import.meta.resolve('./authority.ts'))})
      const authority = await openAuthority({ folder: ${JSON.stringify(folder)}, domain: 'localhost' })
      console.log(authority.created, JSON.stringify(await authority.defaultCertificate()))`
    const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
    const said = (await Promise.all([start(), start(), start(), start()])).map(({ stdout }) => stdout)
    assert.equal(said.filter((text) => text.startsWith('true')).length, 1)
    assert.equal(new Set(said.map((text) => text.slice(text.indexOf('{')))).size, 1)
    assert.deepEqual(readdirSync(folder).sort(), ['ca.key', 'ca.pem', 'server.pem'])
  })

  test('makes way for a new one when it may not vouch for the domain, and is kept under its day', async (t) => {
    const folder = aFolder()
    const clock = manualClock()
    await openAuthority({ folder, domain: 'localhost', clock })
    const old = readFileSync(join(folder, 'ca.pem'), 'utf8')
    const authority = await openAuthority({ folder, domain: 'registry.example.com', clock })
    const aside = join(folder, 'ca-2026-01-02.pem')
    assert.equal(
      authority.replaced,
      `${join(folder, 'ca.pem')} is a new certificate authority, because the stored one may not vouch for ` +
        `registry.example.com: clients must trust it anew (the old one is now ${aside})`,
    )
    assert.equal(readFileSync(aside, 'utf8'), old)
    assert.equal(namesOf(await authority.defaultCertificate())?.includes('registry.example.com'), true)
    const back = await openAuthority({ folder, domain: 'eu.registry.example.com', clock })
    assert.equal(back.replaced, undefined)
    t.mock.timers.enable({ apis: ['Date'], now: clock.now() })
    assert.equal(await handshake(t, back, 'berth.eu.registry.example.com'), 'DNS:berth.eu.registry.example.com')
  })

  test('makes way for a new one when its files are damaged or do not belong together', async () => {
    const folder = aFolder()
    await openAuthority({ folder, domain: 'localhost' })
    const { key } = await createAuthority(['localhost'], Date.now())
    writeFileSync(join(folder, 'ca.key'), key)
    const authority = await openAuthority({ folder, domain: 'localhost' })
    assert.match(authority.replaced ?? '', /damaged or do not belong together/)
    writeFileSync(join(folder, 'server.pem'), 'nonsense')
    const again = await openAuthority({ folder, domain: 'localhost' })
    assert.deepEqual([again.created, again.replaced], [false, undefined])
  })

  test('renews certificates a month before they expire, also while it runs', async () => {
    const folder = aFolder()
    const clock = manualClock()
    const authority = await openAuthority({ folder, domain: 'localhost', clock })
    const first = await authority.defaultCertificate()
    const named = await authority.certificateFor('a.localhost')
    clock.advance(360 * dayMs)
    assert.equal(await authority.defaultCertificate(), first)
    assert.equal(await authority.certificateFor('a.localhost'), named)
    clock.advance(10 * dayMs)
    const [second, again] = await Promise.all([authority.defaultCertificate(), authority.defaultCertificate()])
    assert.notEqual(second.certificate, first.certificate)
    assert.equal(again, second)
    assert.notEqual(await authority.certificateFor('a.localhost'), named)
    assert.equal((await openAuthority({ folder, domain: 'localhost', clock })).created, false)
  })
})

/** A tool's exit code says whether it trusts a certificate for a name. */
function verdict(command: string, args: readonly string[], input = ''): boolean {
  return spawnSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0
}

const has = (command: string, ...args: string[]) => spawnSync(command, args).status === 0
const without = (command: string, ...args: string[]) => (has(command, ...args) ? false : `there is no ${command} here`)

suite('its certificates', async () => {
  const folder = aFolder()
  const authority = await openAuthority({ folder, domain: 'registry.example.com', extraNames: ['10.1.2.3'] })
  const ca = authority.certificateFile
  const issuer = { certificate: readFileSync(ca, 'utf8'), key: readFileSync(join(folder, 'ca.key'), 'utf8') }
  const issue = await createIssuer(issuer)
  const store = async (name: string) => {
    const pair = await issue([name], Date.now())
    const file = join(folder, `leaf-${name.replaceAll(/\W/g, '-')}.pem`)
    writeFileSync(file, pair.certificate)
    return file
  }
  const good = [
    'localhost',
    'berth.localhost',
    'registry.example.com',
    'a.b.registry.example.com',
    '127.0.0.1',
    '127.8.8.8',
    '::1',
    '10.1.2.3',
  ]
  const bad = ['example.com', 'evil.com', 'notlocalhost', '10.1.2.4', '::2']

  test('are accepted by openssl in strict mode, unless they are for a name outside the constraints', {
    skip: without('openssl', 'version'),
  }, async () => {
    for (const name of [...good, ...bad]) {
      const option = /^[\d.:]+$/.test(name) ? '-verify_ip' : '-verify_hostname'
      const args = ['verify', '-x509_strict', '-CAfile', ca, '-purpose', 'sslserver', option, name, await store(name)]
      assert.equal(verdict('openssl', args), good.includes(name), name)
    }
  })

  test('carry the extensions that clients look for', async () => {
    const text = execFileSync('openssl', ['x509', '-in', await store('berth.localhost'), '-noout', '-text']).toString()
    assert.match(text, /Basic Constraints: critical\s+CA:FALSE/)
    assert.match(text, /Extended Key Usage:\s+TLS Web Server Authentication/)
    assert.match(text, /Subject Key Identifier/)
    assert.match(text, /Authority Key Identifier/)
    const { validFromDate, validToDate } = new X509Certificate(readFileSync(await store('berth.localhost')))
    assert.ok(validToDate.getTime() - validFromDate.getTime() <= 398 * dayMs)
  })

  test('are accepted by Python, unless they are for a name outside the constraints', {
    skip: without('python3', '-c', 'import ssl'),
  }, async (t) => {
    const program = `import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
for pair in sys.argv[2:]:
    port, name = pair.split('=')
    try:
        context.wrap_socket(socket.create_connection(('127.0.0.1', int(port))), server_hostname=name)
        print(name)
    except ssl.SSLCertVerificationError:
        pass`
    const served: string[] = []
    for (const name of [...good, ...bad]) served.push(`${await serve(t, name)}=${name}`)
    const { stdout } = await promisify(execFile)('python3', ['-c', program, ca, ...served])
    assert.deepEqual(stdout.trim().split('\n'), good)
  })

  test('are accepted by curl, unless they are for a name outside the constraints', {
    skip: without('curl', '--version'),
  }, async (t) => {
    const verdicts = [...good, ...bad].map(async (name) => {
      const port = await serve(t, name)
      const host = name.includes(':') ? `[${name}]` : name
      const args = ['-s', '--cacert', ca, '--connect-to', `::127.0.0.1:${port}`, `https://${host}/`]
      const code = await promisify(execFile)('curl', args).then(
        () => 0,
        (error: { code: number }) => error.code,
      )
      // 52: the server ends without an answer, after a good handshake; 60: the certificate is not trusted.
      assert.equal(code, good.includes(name) ? 52 : 60, name)
    })
    await Promise.all(verdicts)
  })

  test('are accepted by Go, unless they are for a name outside the constraints', {
    skip: without('go', 'version'),
  }, async (t) => {
    const source = join(folder, 'verify.go')
    writeFileSync(source, goProgram)
    const program = join(folder, 'verify')
    const built = spawnSync('go', ['build', '-o', program, source], {
      env: { ...process.env, GO111MODULE: 'off', GOFLAGS: '' },
      encoding: 'utf8',
    })
    if (built.status !== 0) return t.skip(`go build failed: ${built.stderr}`)
    for (const name of [...good, ...bad]) {
      assert.equal(verdict(program, [ca, await store(name), name]), good.includes(name), name)
    }
  })

  /** Serves a name's certificate until the test ends; a connection is closed after the first words. Returns the port. */
  async function serve(t: TestContext, name: string): Promise<number> {
    const { certificate, key } = await issue([name], Date.now())
    const server = createServer({ cert: certificate, key }, (socket) => {
      socket.on('error', () => {}).on('data', () => socket.end())
    })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    t.after(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    return (server.address() as AddressInfo).port
  }
})

const goProgram = `package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
)

func main() {
	roots := x509.NewCertPool()
	authority, _ := os.ReadFile(os.Args[1])
	roots.AppendCertsFromPEM(authority)
	leaf, _ := os.ReadFile(os.Args[2])
	block, _ := pem.Decode(leaf)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err == nil {
		_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: os.Args[3]})
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
`
