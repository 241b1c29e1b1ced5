/** The campaign against the real program: its memory, its log and the files around its data folder are watched too. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryOfGroup, prepareProgram } from '../program.ts'
import { type CampaignOptions, type CampaignResult, runCampaign } from './campaign.ts'

export interface Watched {
  readonly result: CampaignResult
  /** What was wrong besides the answers. */
  readonly problems: readonly string[]
  /** In MiB: of all processes together after the warm-up (if the campaign gets there) and at the end; of one, at most. */
  readonly memory: { readonly warm: number; readonly end: number; readonly largest: number }
  readonly exitCode: number | string
}

export interface ProgramCampaignOptions extends Omit<CampaignOptions, 'observe'> {
  readonly workers: number
  readonly observe?: (done: number, pid: number) => void
}

/** So many requests fill caches and pools, and let the engine's heap find its size; growth is judged after them. */
const warmUpRequests = 20_000
/** How much all processes together may grow from there, in MiB, whatever the number of requests. */
const growthBoundMebibytes = 128
/** What one process may ever hold, in MiB: two manifests of 4 MiB in hand are a dozen times that while they are parsed. */
const processBoundMebibytes = 450

export async function runAgainstProgram({ workers, observe, ...options }: ProgramCampaignOptions): Promise<Watched> {
  await using program = await prepareProgram({ workers })
  const outside = randomBytes(24).toString('hex')
  await mkdir(join(program.parentFolder, 'outside'))
  await writeFile(join(program.parentFolder, 'outside', 'canary.txt'), `outside-${outside}`)
  await writeFile(join(program.parentFolder, 'canary.txt'), `outside-${outside}`)
  const before = await listing(program.parentFolder, program.dataFolder)
  await program.start()
  const samples: number[] = []
  let largest = 0
  const sample = (done: number) => {
    const processes = memoryOfGroup(program.pid)
    if (done >= warmUpRequests || samples.length === 0) {
      samples.push(processes.reduce((total, { resident }) => total + resident, 0))
    }
    largest = Math.max(largest, ...processes.map(({ highest }) => highest))
    observe?.(done, program.pid)
  }
  const target = {
    port: program.port,
    host: program.host,
    username: program.username,
    password: program.password,
    ca: program.ca,
  }
  const forbidden = [outside, program.dataFolder, program.password]
  const result = await runCampaign(target, { ...options, forbidden, observe: sample })
  const after = await listing(program.parentFolder, program.dataFolder)
  const exitCode = await program.terminate()
  if (options.requests > warmUpRequests) samples.shift() // the one from before the warm-up
  const memory = { warm: samples[0] ?? 0, end: samples.at(-1) ?? 0, largest }
  const problems: string[] = []
  if (before !== after) problems.push(`files outside the data folder changed:\n${before}\n→\n${after}`)
  if (exitCode !== 0) problems.push(`the program ended with ${exitCode}`)
  const growth = memory.end - memory.warm
  if (growth > growthBoundMebibytes) problems.push(`memory grew by ${growth.toFixed(0)} MiB after the warm-up`)
  if (largest > processBoundMebibytes) problems.push(`a process held ${largest.toFixed(0)} MiB`)
  const bad = program.log
    .split('\n')
    .filter((line) => /request failed|a worker ended|"level":(50|60)|UnhandledPromise|Warning:/.test(line))
  if (bad.length > 0)
    problems.push(`the log has ${bad.length} lines of trouble:\n${bad.slice(0, 10).join('\n').slice(0, 6000)}`)
  return { result, problems, memory, exitCode }
}

export function formatWatched({ problems, memory, exitCode }: Watched): string {
  const { warm, end, largest } = memory
  const growth = `${warm.toFixed(0)} → ${end.toFixed(0)} MiB of all processes after the warm-up (bound: ${growthBoundMebibytes} more)`
  const peak = `${largest.toFixed(0)} MiB of one process at most (bound: ${processBoundMebibytes})`
  return [`  resident memory: ${growth}, ${peak}; exit code ${exitCode}`, ...problems].join('\n')
}

/** Every file but the data folder's: path, size and time. */
async function listing(folder: string, except: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const lines = await Promise.all(
    entries
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => path !== except && !path.startsWith(`${except}/`))
      .map(async (path) => {
        const { size, mtimeMs, isDirectory } = await stat(path).then((found) => ({
          size: found.size,
          mtimeMs: found.mtimeMs,
          isDirectory: found.isDirectory(),
        }))
        return isDirectory ? path : `${path} ${size} ${mtimeMs}`
      }),
  )
  return lines.sort().join('\n')
}
