/** The OCI's own conformance test, with everything that it can test. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { client } from './clients/index.ts'
import { storiesWith } from './story.ts'

const conformance = client('conformance')
const story = storiesWith([conformance])

/** Every switch of `conformance/config.go`, whatever the version's defaults are. */
const everything = [
  ...['API_PING', 'API_PULL', 'API_PUSH', 'API_REFERRER'],
  ...['API_BLOBS_ATOMIC', 'API_BLOBS_DELETE', 'API_BLOBS_DIGEST_HEADER'],
  ...['API_BLOBS_MOUNT_ANONYMOUS', 'API_BLOBS_UPLOAD_CANCEL'],
  ...['API_MANIFESTS_ATOMIC', 'API_MANIFESTS_DELETE', 'API_MANIFESTS_DIGEST_HEADER', 'API_MANIFESTS_TAG_PARAM'],
  ...['API_TAGS_ATOMIC', 'API_TAGS_DELETE', 'API_TAGS_LIST'],
  ...['DATA_IMAGE', 'DATA_INDEX', 'DATA_INDEX_LIST', 'DATA_SPARSE', 'DATA_ARTIFACT', 'DATA_SUBJECT'],
  ...['DATA_SUBJECT_MISSING', 'DATA_ARTIFACT_LIST', 'DATA_SUBJECT_LIST', 'DATA_DATA_FIELD', 'DATA_NONDISTRIBUTABLE'],
  ...['DATA_CUSTOM_FIELDS', 'DATA_NO_LAYERS', 'DATA_EMPTY_BLOB', 'DATA_SHA512'],
]

for (const version of ['1.1', 'dev']) {
  for (const tls of ['enabled', 'disabled']) {
    story(`OCI distribution conformance ${version}, TLS ${tls} › every test passes`, async ({ berth, home, t }) => {
      const run = randomBytes(4).toString('hex')
      const env = {
        OCI_REGISTRY: berth.host,
        OCI_TLS: tls,
        SSL_CERT_FILE: berth.ca,
        OCI_REPO1: `conformance/${run}/one`,
        OCI_REPO2: `conformance/${run}/two`,
        OCI_USERNAME: berth.username,
        OCI_PASSWORD: berth.password,
        OCI_VERSION: version,
        OCI_RESULTS_DIR: home.path('results'),
        ...Object.fromEntries(everything.map((name) => [`OCI_${name}`, 'true'])),
      }
      // Judged by its report, which says more than the exit code.
      await home.run('sh', ['-c', '"$0" || true', conformance.path], { env, timeoutSeconds: 120 })
      const cases = readReport(await readFile(home.path('results', 'junit.xml'), 'utf8'))
      const others = cases.filter(({ status }) => status !== 'passed')
      const counts = Object.groupBy(cases, ({ status }) => status)
      const count = (status: string) => counts[status]?.length ?? 0
      t.diagnostic(
        `${cases.length} tests: ${['passed', 'failure', 'error', 'skipped'].map((status) => `${count(status)} ${status}`).join(', ')}`,
      )
      // The report does not tell apart what was skipped and what is disabled; neither should happen.
      assert.ok(
        others.length === 0,
        `${others.length} tests did not pass\n\n${others.map(({ name, status, output }) => `${status}: ${name}\n${output}`).join('\n')}`,
      )
      assert.ok(cases.length > 200, `only ${cases.length} tests ran`)
    })
  }
}

interface Case {
  readonly name: string
  readonly status: string
  readonly output: string
}

/** The test cases of a JUnit report. Its writer escapes all text, so that an angle bracket is always a tag's. */
function readReport(xml: string): readonly Case[] {
  const withoutEscapes = (text: string) =>
    text
      .replaceAll(/&#x([0-9a-fA-F]+);/g, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)))
      .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&apos;', "'")
      .replaceAll('&amp;', '&')
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes = '', inner = '']) => {
      const attribute = (key: string) => withoutEscapes(new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? '')
      const texts = ['system-out', 'system-err'].map(
        (tag) => new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(inner)?.[1],
      )
      return {
        name: attribute('name'),
        status: attribute('status'),
        output: withoutEscapes(texts.join('\n')).slice(0, 4000),
      }
    },
  )
}
