/** What a start says and does: with the wrong things given, and with each way of giving the right ones. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { basic, childrenOf, fetchOnce, type Program, runBerth, startProgram, until } from './program.ts'
import { temporaryFolder } from './temporary-folder.ts'

const timeout = { timeout: 120_000 }
const one = ['--workers', '1']

/** The certificate that a client gets who asks for this name and trusts this authority; rejects when it does not fit. */
async function certificateFor(port: number, servername: string, ca: string): Promise<PeerCertificate> {
  const socket = connectTls({ port, host: '127.0.0.1', servername, ca: await readFile(ca), timeout: 10_000 })
  await once(socket, 'secureConnect')
  const certificate = socket.getPeerCertificate()
  socket.destroy()
  return certificate
}

const isAnswered = async (url: string, ca?: string) => {
  const { status, body } = await fetchOnce(url, ca === undefined ? {} : { ca: await readFile(ca) })
  assert.deepEqual([status, body.toString()], [200, '{"status":"ok"}'], url)
}

async function statusOfV2({ port, bootstrap }: Program, registry = bootstrap.registry, host = 'localhost') {
  const headers = { authorization: basic(registry), host }
  return (await fetchOnce(`http://127.0.0.1:${port}/v2/`, { headers })).status
}

suite('a start that cannot be', timeout, () => {
  test('a second server on the same folder › one sentence, exit code 1, and the first goes on', async () => {
    await using data = await temporaryFolder('data')
    await using first = await startProgram({ dataFolder: data.folder, flags: one })
    for (const workers of ['1', '2']) {
      const second = await runBerth(['start', '--port', '0', '--data', data.folder, '--workers', workers])
      assert.deepEqual(second, {
        code: 1,
        stdout: '',
        stderr: `berth: another Berth is running on the data folder ${data.folder}\n`,
      })
    }
    await isAnswered(`http://127.0.0.1:${first.port}/healthz`)
  })

  test('a port that is taken › a sentence that names it, exit code 1', async () => {
    await using data = await temporaryFolder('data')
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    try {
      const { code, stdout, stderr } = await runBerth(['start', '--port', String(port), '--data', data.folder])
      assert.deepEqual([code, stdout], [1, ''])
      assert.equal(stderr, `berth: port ${port} on 127.0.0.1 is taken by another program; choose another with --port\n`)
    } finally {
      other.close()
    }
  })

  test('a data folder that cannot be made › a sentence, exit code 1', {
    skip: process.platform !== 'linux' && 'needs a place where root may not write either',
  }, async () => {
    const { code, stdout, stderr } = await runBerth(['start', '--port', '0', '--data', '/proc/berth'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^berth: cannot write to the data folder \/proc\/berth: .+\n$/)
  })

  test('a file where the data folder should be › a mistake of the settings, exit code 2', async () => {
    await using data = await temporaryFolder('data')
    const file = join(data.folder, 'file')
    await writeFile(file, '')
    const { code, stderr } = await runBerth(['start', '--port', '0', '--data', file])
    assert.deepEqual([code, stderr], [2, `berth: --data: ${file} is not a folder\n`])
    const below = await runBerth(['start', '--port', '0', '--data', join(file, 'below')])
    assert.equal(below.code, 1)
    assert.match(below.stderr, /^berth: cannot write to the data folder \/.+\/file\/below: ENOTDIR.*\n$/)
  })

  test('a file of the data folder that cannot be used › a sentence that names it, exit code 1', async () => {
    await using data = await temporaryFolder('data')
    const said = async (dataFolder: string) => {
      const { code, stdout, stderr } = await runBerth(['start', '--port', '0', '--data', dataFolder])
      assert.deepEqual([code, stdout], [1, ''])
      assert.equal(stderr.split('\n').length, 2, stderr)
      return stderr.trimEnd()
    }
    const spoiled = async (name: string, make: (path: string) => Promise<unknown>) => {
      const folder = join(data.folder, `with-${name}`)
      await mkdir(folder)
      await make(join(folder, name))
      return (await said(folder)).replace(join(folder, name), 'FILE')
    }
    const withKey = async (path: string) => {
      await writeFile(join(path, '..', 'secret.key'), `${'0'.repeat(64)}\n`)
      await nonsense(path)
    }
    const nonsense = (path: string) => writeFile(path, 'neither a key nor a database, but long enough for both')
    assert.equal(
      await spoiled('secret.key', nonsense),
      'berth: cannot start: FILE does not hold a key of 64 hexadecimal digits',
    )
    assert.equal(await spoiled('berth.db', withKey), 'berth: cannot start: FILE: file is not a database')
    assert.match(await spoiled('berth.lock', mkdir), /^berth: cannot start: .*FILE/)
    assert.match(await spoiled('tls', nonsense), /^berth: cannot start: .*FILE/)

    await using first = await startProgram({ dataFolder: join(data.folder, 'good'), flags: one })
    await first.stop()
    const file = join(data.folder, 'good', 'bootstrap.json')
    const whole = await readFile(file, 'utf8')
    for (const text of [whole.slice(0, -20), '{}']) {
      await writeFile(file, text)
      assert.equal(
        await said(join(data.folder, 'good')),
        `berth: cannot start: ${file} is not what the first start wrote; repair it or put it away`,
      )
    }
    await writeFile(file, whole)
    const key = join(data.folder, 'good', 'secret.key')
    await rm(key)
    assert.match(
      await said(join(data.folder, 'good')),
      /^berth: cannot start: \/.*secret\.key cannot be read \(ENOENT\): .* from the backup$/,
    )
    await assert.rejects(stat(key), { code: 'ENOENT' })
  })

  test('wrong settings › every mistake by its source, exit code 2, and nothing is made', async () => {
    await using home = await temporaryFolder('data')
    const file = join(home.folder, 'berth.yaml')
    await writeFile(file, 'domain: no such domain\nlog-level: loud\n')
    const dataFolder = join(home.folder, 'data')
    const flags = ['start', '--data', dataFolder, '--config', file, '--port', '70000']
    const { code, stdout, stderr } = await runBerth(flags, { BERTH_WORKERS: 'many', BERTH_PORT: 'ignored' })
    assert.deepEqual([code, stdout], [2, ''])
    const [first, ...mistakes] = stderr.trimEnd().split('\n')
    assert.equal(first, 'berth: the configuration has 4 mistakes:')
    const sources = ['--port', 'BERTH_WORKERS', 'berth.yaml: domain', 'berth.yaml: log-level']
    for (const source of sources) {
      assert.ok(
        mistakes.some((line) => line.startsWith(`  ${source}: `) || line.includes(`/${source}: `)),
        `${source} in ${stderr}`,
      )
    }
    await assert.rejects(stat(dataFolder), { code: 'ENOENT' })
  })
})

suite('a start', timeout, () => {
  test('with variables and a YAML file › uses both, and flags before them', async () => {
    await using home = await temporaryFolder('data')
    const file = join(home.folder, 'berth.yaml')
    await writeFile(file, 'domain: registry.example.com\nworkers: 2\nlog-level: error\nport: 1\n')
    await using program = await startProgram({
      dataFolder: join(home.folder, 'data'),
      env: { BERTH_CONFIG: file, BERTH_LOG_LEVEL: 'info', BERTH_PORT: '2' },
    })
    await until('the log has its first line', () => program.stdout.includes('\n'))
    const ready = JSON.parse(program.stdout.split('\n')[0] ?? '') as Record<string, unknown>
    assert.deepEqual(
      { msg: ready.msg, domain: ready.domain, workers: ready.workers, port: ready.port },
      { msg: 'ready', domain: 'registry.example.com', workers: 2, port: program.port },
    )
    const { registry, caCertificate } = program.bootstrap
    assert.equal(registry.loginServer, `berth.registry.example.com:${program.port}`)
    assert.equal(await statusOfV2(program, registry, registry.loginServer), 200)
    const { subject } = await certificateFor(program.port, 'berth.registry.example.com', caCertificate)
    assert.ok(subject)
  })

  test('again, on another port › the password is the old one, the addresses are new', async () => {
    await using data = await temporaryFolder('data')
    await using first = await startProgram({ dataFolder: data.folder, flags: one })
    assert.match(first.stderr, /First start: /)
    await first.stop()
    await using second = await startProgram({ dataFolder: data.folder, flags: one })
    assert.doesNotMatch(second.stderr, /First start: /)
    assert.notEqual(second.port, first.port)
    assert.equal(second.bootstrap.registry.password, first.bootstrap.registry.password)
    assert.equal(second.bootstrap.clientSecret, first.bootstrap.clientSecret)
    assert.equal(second.bootstrap.endpoint, `https://localhost:${second.port}`)
    assert.equal(await statusOfV2(second, first.bootstrap.registry), 200)
    assert.equal(await readFile(second.bootstrap.caCertificate, 'utf8').then((pem) => pem.length > 0), true)
  })

  test('with --http › speaks plain HTTP and no TLS, and needs no certificate', async () => {
    await using data = await temporaryFolder('data')
    await using program = await startProgram({ dataFolder: data.folder, flags: [...one, '--http'] })
    assert.match(program.stderr, /^Berth listens on http:\/\/localhost:/)
    await isAnswered(`http://127.0.0.1:${program.port}/healthz`)
    await assert.rejects(fetchOnce(`https://127.0.0.1:${program.port}/healthz`, { rejectUnauthorized: false }))
    assert.equal(program.bootstrap.caCertificate, '')
    assert.equal(program.bootstrap.endpoint, `http://localhost:${program.port}`)
    await assert.rejects(stat(join(data.folder, 'tls')), { code: 'ENOENT' })
  })

  test('with a certificate of one’s own › shows that one', {
    skip: spawnSync('openssl', ['version']).status !== 0 && 'there is no openssl here',
  }, async () => {
    await using home = await temporaryFolder('data')
    const [cert, key] = [join(home.folder, 'cert.pem'), join(home.folder, 'key.pem')]
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const names = ['-subj', '/CN=mine', '-addext', 'subjectAltName=DNS:localhost,DNS:*.registry.example.com']
    const made = spawnSync('openssl', [...request, ...names, '-keyout', key, '-out', cert], { encoding: 'utf8' })
    assert.equal(made.status, 0, made.stderr)
    await using program = await startProgram({
      dataFolder: join(home.folder, 'data'),
      flags: [...one, '--tls-cert', cert, '--tls-key', key, '--domain', 'registry.example.com'],
    })
    for (const name of ['localhost', 'berth.registry.example.com']) {
      assert.equal((await certificateFor(program.port, name, cert)).subject.CN, 'mine')
    }
    assert.equal(program.bootstrap.caCertificate, '')
  })

  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

  test('on an address that others reach › plain HTTP gets 400 and a sentence, HTTPS is answered', {
    skip: own === undefined && 'this machine has no address but loopback',
  }, async () => {
    await using data = await temporaryFolder('data')
    await using program = await startProgram({ dataFolder: data.folder, flags: [...one, '--host', own ?? ''] })
    const plain = await fetchOnce(`http://${own}:${program.port}/healthz`)
    assert.equal(plain.status, 400)
    assert.equal(plain.body.toString(), 'This port speaks HTTPS: write https:// in place of http://.\n')
    const ca = program.bootstrap.caCertificate
    await isAnswered(`https://${own}:${program.port}/healthz`, ca)
    // The numbers of a server are not everybody's business.
    const metrics = await fetchOnce(`https://${own}:${program.port}/metrics`, { ca: await readFile(ca) })
    assert.equal(metrics.status, 404)
  })
})

suite('one server', timeout, async () => {
  test('answers on its hosts, over TLS and plain HTTP, and counts what it answers', async (t) => {
    await using data = await temporaryFolder('data')
    await using program = await startProgram({ dataFolder: data.folder, flags: ['--workers', '2'] })
    const { port, bootstrap } = program
    const ca = bootstrap.caCertificate
    const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
    const loopbacks = hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']

    for (const address of loopbacks) {
      await t.test(`localhost › TLS and plain HTTP on ${address}`, async () => {
        const headers = { host: `localhost:${port}` }
        const trusted = { host: address, headers, servername: 'localhost', ca: await readFile(ca) }
        for (const scheme of ['http', 'https']) {
          const { status } = await fetchOnce(`${scheme}://localhost:${port}/healthz`, trusted)
          assert.equal(status, 200, scheme)
        }
      })
    }

    await t.test('a name below the domain › a certificate for it, and never a wildcard', async () => {
      assert.equal((await certificateFor(port, 'another.localhost', ca)).subjectaltname, 'DNS:another.localhost')
      const { subjectaltname = '' } = await certificateFor(port, 'berth.localhost', ca)
      assert.ok(subjectaltname.split(', ').includes('DNS:berth.localhost'))
      assert.doesNotMatch(subjectaltname, /\*/)
      await assert.rejects(certificateFor(port, 'localhost.example.com', ca), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    })

    await t.test('a host that is nobody’s › 404', async () => {
      for (const host of ['registry.example.com', `a.b.localhost:${port}`, '192.0.2.77']) {
        assert.equal(await statusOfV2(program, bootstrap.registry, host), 404, host)
      }
    })

    await t.test('/healthz and /readyz › 200 on any host', async () => {
      for (const path of ['/healthz', '/readyz']) {
        const url = `http://127.0.0.1:${port}${path}`
        assert.equal((await fetchOnce(url, { headers: { host: 'anything.example' } })).status, 200)
      }
    })

    await t.test('/metrics › those of all workers together', async () => {
      const readCount = async () => {
        const { status, body } = await fetchOnce(`http://127.0.0.1:${port}/metrics`)
        assert.equal(status, 200)
        const line = /^berth_http_requests_total\{method="GET",route="\/readyz",status="200"\} (\d+)$/m
        return Number(line.exec(body.toString())?.[1] ?? 0)
      }
      const before = await readCount()
      const workersAsked = () => {
        const lines = program.stdout.matchAll(/"pid":(\d+).*"\/readyz"/g)
        return new Set([...lines].map(([, pid]) => pid)).size
      }
      // The system shares out connections as it likes, so ask at once and until both workers have answered some.
      let asked = 0
      await until('both workers have answered', async () => {
        const answers = Array.from({ length: 20 }, () => isAnswered(`http://127.0.0.1:${port}/readyz`))
        asked += (await Promise.all(answers)).length
        return workersAsked() === 2
      })
      assert.equal(await readCount(), before + asked)
    })

    await t.test('/metrics, while a worker stands still › 503 and when to ask again', async () => {
      const [still = 0] = childrenOf(program.pid)
      process.kill(still, 'SIGSTOP')
      try {
        const { status, headers } = await fetchOnce(`http://127.0.0.1:${port}/metrics`)
        assert.deepEqual([status, headers['retry-after']], [503, '5'])
      } finally {
        process.kill(still, 'SIGCONT')
      }
    })
  })

  test('in a folder whose name needs care › the lines that it prints name it so that a shell finds it', async () => {
    await using home = await temporaryFolder('data')
    const dataFolder = join(home.folder, "it's here")
    await mkdir(dataFolder)
    await using program = await startProgram({ dataFolder, flags: one })
    const command = /--data ('.*') \|/.exec(program.stderr)?.[1] ?? ''
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${command}`], { encoding: 'utf8' })
    assert.equal(stdout, dataFolder)
  })
})
