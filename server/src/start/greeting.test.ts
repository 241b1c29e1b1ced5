import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { loadConfig } from '../config/load.ts'
import { bootstrapOf } from './bootstrap-file.ts'
import { type Greeting, greetingOf } from './greeting.ts'

const founding = {
  tenantId: 't',
  subscriptionId: 's',
  resourceGroup: 'default',
  clientId: 'c',
  clientSecret: 'the secret',
  registry: { name: 'berth', username: 'berth', password: 'the password' },
}

function linesOf(flags: Record<string, string | boolean> = {}, given: Partial<Greeting> = {}): string[] {
  const config = loadConfig({ flags, env: {}, terminal: false })
  const bootstrap = bootstrapOf(founding, {
    scheme: 'https',
    domain: config.domain,
    port: config.publicPort,
    caCertificate: '/ca.pem',
  })
  const text = greetingOf({
    config,
    bootstrapFile: '/b.json',
    bootstrap,
    firstStart: false,
    milliseconds: 7,
    ...given,
  })
  assert.ok(text.endsWith('\n'))
  assert.ok(!text.includes('the secret') && !text.includes('the password'), 'a secret on the terminal')
  return text.trimEnd().split('\n')
}

const beginning = (lines: readonly string[], start: string) => lines.find((line) => line.startsWith(start)) ?? ''

suite('what a start prints', () => {
  test('with every default › lines that work when they are pasted in the same folder', () => {
    assert.deepEqual(linesOf({}, { firstStart: true }), [
      'Berth listens on https://localhost:8443 (ready after 7 ms)',
      'First start: names, addresses and secrets are in /b.json (only you can read it).',
      '',
      'Try it:',
      '  ./berth password | docker login localhost:8443 -u berth --password-stdin',
      "  printf 'FROM scratch\\nCOPY . /docs/\\n' | docker build -t localhost:8443/samples/docs:v1 -f - docs",
      '  docker push localhost:8443/samples/docs:v1 && docker pull localhost:8443/samples/docs:v1',
      '',
      'Clients trust /ca.pem; `./berth trust` says how to put it where they look.',
      '',
      'Stop with Ctrl+C.',
    ])
    assert.deepEqual(
      linesOf().filter((line) => line.startsWith('First start')),
      [],
    )
  })

  test('with another data folder › the command names it, quoted where a shell needs that', () => {
    const login = (data: string) => beginning(linesOf({ data }), '  ./berth password')
    assert.match(login('/srv/berth'), /^ {2}\.\/berth password --data \/srv\/berth \| /)
    assert.match(login("/srv/it's here"), /^ {2}\.\/berth password --data '\/srv\/it'\\''s here' \| /)
    assert.match(login(resolve('data')), /^ {2}\.\/berth password \| /)
  })

  test('with another domain › docker goes to the login server, by the port that clients see', () => {
    const lines = linesOf({ domain: 'registry.example.com:443', host: '0.0.0.0' })
    assert.match(lines[0] ?? '', /^Berth listens on 0\.0\.0\.0:8443 as https:\/\/berth\.registry\.example\.com \(/)
    assert.match(beginning(lines, '  docker push'), /^ {2}docker push berth\.registry\.example\.com\/samples\/docs:v1 /)
    assert.match(beginning(linesOf({ domain: 'r.example.com' }), '  docker push'), / berth\.r\.example\.com:8443\//)
  })

  test('with another address › says it as a URL needs it', () => {
    assert.match(linesOf({ host: '::1' })[0] ?? '', / https:\/\/localhost:8443 /)
    assert.match(linesOf({ host: 'fd00::2' })[0] ?? '', / https:\/\/\[fd00::2\]:8443 /)
  })

  test('with plain HTTP › says so, and nothing about certificates', () => {
    const lines = linesOf({ http: true })
    assert.match(lines[0] ?? '', /^Berth listens on http:\/\/localhost:8443 /)
    assert.equal(beginning(lines, 'Clients trust'), '')
  })

  test('where bootstrap.json was put away › only where it listens', () => {
    assert.deepEqual(linesOf({}, { bootstrap: undefined }), [
      'Berth listens on https://localhost:8443 (ready after 7 ms)',
    ])
  })
})
