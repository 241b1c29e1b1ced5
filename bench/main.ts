/** `npm run bench`. Whatever ends it, no process and no data stay behind; results are written when it is over. */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Case } from './case.ts'
import { createCases } from './cases/index.ts'
import { MemoryWatch } from './memory-watch.ts'
import { help, type Options, parseOptions } from './options.ts'
import { formatMarkdown, formatTable } from './report/markdown.ts'
import type { RunResult } from './result.ts'
import { runBenchmark, selectCases, selectKinds } from './run.ts'
import { createLiveData, type LiveData } from './seed/live.ts'

const say = (line: string) => console.error(line)

process.exitCode = await main()

async function main(): Promise<number> {
  let options: Options
  let cases: readonly Case[]
  let data: LiveData
  try {
    options = parseOptions(process.argv.slice(2))
    selectKinds(options)
    data = createLiveData()
    const ingredients = { options, data, programs: new Map(), memory: new MemoryWatch() }
    cases = selectCases(createCases(ingredients), options)
  } catch (error) {
    say(`${(error as Error).message}\n\n${help}`)
    return 2
  }
  if (options.list) {
    for (const { name, title } of cases) console.log(`${name.padEnd(28)} ${title}`)
    return 0
  }
  await mkdir(options.folder, { recursive: true })
  const folder = await mkdtemp(join(options.folder, 'run-'))
  // After the hooks of what starts processes, which end them first; they may be writing their last file.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  process.once('exit', remove)
  const result = await runBenchmark({ ...options, folder }, say, data)
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  if (options.results !== undefined) await writeResults(options.results, result)
  console.log(`\n${formatTable(result)}`)
  return 0
}

async function writeResults(folder: string, result: RunResult): Promise<void> {
  await mkdir(folder, { recursive: true })
  await replace(join(folder, 'latest.json'), `${JSON.stringify(result, undefined, 2)}\n`)
  await replace(join(folder, 'latest.md'), formatMarkdown(result))
  say(`results are in ${folder}`)
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.part`, text)
  await rename(`${path}.part`, path)
}
