import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { openCertificateFiles } from './certificate-files.ts'
import { createAuthority } from './issue.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-certificate-'))
after(() => rmSync(folder, { recursive: true }))
const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }

suite("the operator's certificate files", () => {
  test('are read again when they change, and not between their two writes', async () => {
    const old = await createAuthority(['localhost'], Date.now())
    const renewed = await createAuthority(['localhost'], Date.now())
    writeFileSync(files.certificate, old.certificate)
    writeFileSync(files.key, old.key)
    const source = await openCertificateFiles(files)
    assert.deepEqual(await source.defaultCertificate(), old)
    writeFileSync(files.certificate, renewed.certificate)
    await assert.rejects(source.defaultCertificate(), /mismatch/)
    writeFileSync(files.key, renewed.key)
    assert.deepEqual(await source.defaultCertificate(), renewed)
  })

  test('that do not belong together are refused', async () => {
    writeFileSync(files.key, (await createAuthority(['localhost'], Date.now())).key)
    await assert.rejects(openCertificateFiles(files), /mismatch/)
  })
})
