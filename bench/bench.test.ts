/** A very short run of a few cases: whether the harness works, not how fast anything is. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { cacheFolder } from './folders.ts'
import { findWrk } from './load/wrk.ts'
import { parseOptions } from './options.ts'
import { formatMarkdown } from './report/markdown.ts'
import type { CaseResult, Cell, RunResult } from './result.ts'
import { runBenchmark } from './run.ts'

const wrk = await findWrk()
const entries = 300
const cases = [
  'manifest/tag/small',
  'manifest/head/small',
  'tags/many/middle',
  'catalog/most/end',
  'push/chunked/1MB',
  'start/empty',
]

suite('a run of the benchmark', { skip: typeof wrk === 'string' ? false : wrk.missing }, () => {
  let folder: string
  let run: RunResult
  const said: string[] = []

  before(async () => {
    await mkdir(cacheFolder, { recursive: true })
    folder = await mkdtemp(join(cacheFolder, 'test-'))
    const flags = ['--rounds', '1', '--seconds', '1', '--entries', String(entries), '--large', String(2 * entries)]
    const choice = ['--registries', '^(berth|olareg)$', '--only', `^(${cases.join('|')})$`]
    run = await runBenchmark({ ...parseOptions([...flags, ...choice, '--workers', '1']), folder }, (line) =>
      said.push(line),
    )
  })
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

  const caseOf = (name: string): CaseResult => {
    const found = run.cases.find((result) => result.name === name)
    assert.ok(found, `${name} is not among ${run.cases.map((result) => result.name)}`)
    return found
  }
  const measured = (name: string, registry = 'berth') => {
    const cell: Cell | undefined = caseOf(name).cells[registry]
    assert.equal(cell?.kind, 'measured', `${registry} in ${name}: ${JSON.stringify(cell)}\n${said.join('\n')}`)
    return cell
  }

  test('asks Berth every case that was chosen, in order', () => {
    assert.deepEqual(
      run.cases.map(({ name }) => name),
      cases,
    )
    for (const name of cases) {
      const { value, rounds } = measured(name)
      assert.ok(value > 0, name)
      assert.deepEqual(rounds, [value], name)
    }
  })

  test('knows how long requests took', () => {
    for (const name of cases.filter((name) => name !== 'start/empty')) {
      const { p50 = 0, p99 = 0 } = measured(name)
      assert.ok(p50 > 0 && p99 >= p50, `${name}: ${p50} and ${p99} ms`)
    }
  })

  test('asks every other registry that is there the same, but not for what Berth alone has', () => {
    const others = run.registries.filter((registry) => registry.name !== 'berth' && !('missing' in registry))
    for (const { name } of others) {
      assert.ok(measured('manifest/tag/small', name).value > 0)
      assert.ok(measured('tags/many/middle', name).value > 0)
      assert.equal(caseOf('catalog/most/end').cells[name]?.kind, 'unasked')
    }
    const { ratio, best } = caseOf('manifest/tag/small')
    assert.equal(ratio !== undefined, others.length > 0)
    if (best !== undefined) assert.equal(ratio, measured('manifest/tag/small').value / best.value)
  })

  test('names every registry and tool with its version, or as missing', () => {
    assert.deepEqual(
      run.registries.map(({ name }) => name),
      ['berth', 'olareg'],
    )
    for (const registry of run.registries) {
      assert.match('missing' in registry ? registry.missing : registry.version, /\S/)
    }
    assert.match(run.tools.wrk ?? '', /\d/)
    assert.match(run.machine.kernel, /\d/)
    assert.ok(run.machine.cores > 0)
  })

  test('can be read as a table with a row for every case', async () => {
    const lines = formatMarkdown(run).split('\n')
    for (const { title } of run.cases)
      assert.equal(lines.filter((line) => line.startsWith(`| ${title} `)).length, 1, title)
    const columns = lines.filter((line) => line.startsWith('|')).map((line) => line.split(/(?<!\\)\|/).length)
    assert.equal(new Set(columns).size, 1, 'every row has the same columns')
  })

  test('leaves no process behind', async () => {
    const left = await processesIn(folder)
    assert.deepEqual(left, [])
  })
})

/** Processes whose command line names the folder. */
async function processesIn(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(folder)) found.push(command.replaceAll('\0', ' '))
  }
  return found
}
