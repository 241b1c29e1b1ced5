/** A whole run: finds the programs, fills the stores, asks every case. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Case } from './case.ts'
import { createCases } from './cases/index.ts'
import { projectFolder } from './folders.ts'
import { judge } from './judge.ts'
import { findWrk } from './load/wrk.ts'
import { measureCase } from './measure.ts'
import { MemoryWatch } from './memory-watch.ts'
import type { Options } from './options.ts'
import { berthKind } from './peers/berth.ts'
import { distribution } from './peers/distribution.ts'
import { olareg } from './peers/olareg.ts'
import { findProgram, toolsVariable, versionOf } from './peers/programs.ts'
import type { FoundProgram, RegistryKind } from './peers/registry.ts'
import { zot, zotCommit } from './peers/zot.ts'
import { describeMachine, mountOf } from './report/machine.ts'
import { formatProgress } from './report/progress.ts'
import type { CaseResult, RegistryResult, RunResult } from './result.ts'
import { neededBytes, requireRoom } from './room.ts'
import { createLiveData } from './seed/live.ts'
import { openStores, type Say } from './stores.ts'

/** options.folder: an empty folder of this run's own, which the caller removes; data: made anew unless given. */
export async function runBenchmark(options: Options, say: Say, data = createLiveData()): Promise<RunResult> {
  const from = performance.now()
  const began = new Date().toISOString()
  await requireRealDisk(options.folder)
  const { registries, programs } = await findRegistries(options, say)
  const memory = new MemoryWatch()
  const cases = selectCases(createCases({ options, data, programs, memory }), options)
  await requireRoom(options.folder, neededBytes(cases, programs.size, options))
  const tools = await findTools(say)
  const machine = await describeMachine(options.folder)
  const results: CaseResult[] = []
  await using stores = await openStores(cases, programs, data, options, say)
  const kinds = [...programs.keys()].filter((kind) => !stores.failed.has(kind))
  for (const [at, question] of cases.entries()) {
    say(`[${at + 1}/${cases.length}] ${question.name}: ${question.title}`)
    const cells = await measureCase(question, { kinds, stores, options, memory })
    const { name, title, unit } = question
    const result = {
      name,
      title,
      unit: unit.name,
      better: unit.better,
      cells,
      ...judge(question, cells, results, kinds),
    }
    results.push(result)
    say(formatProgress(result))
  }
  const { rounds, seconds, entries, large, quick, only } = options
  return {
    began,
    minutes: (performance.now() - from) / 60_000,
    commit: await commitOf(projectFolder),
    machine,
    settings: { rounds, seconds, entries, large, quick, only: only.source === '(?:)' ? '' : only.source },
    registries: registries.map((registry) => {
      const failure = [...stores.failed].find(([{ name }]) => name === registry.name)
      return failure === undefined ? registry : { name: registry.name, missing: failure[1] }
    }),
    tools,
    cases: results,
  }
}

/** The cases that `--only` matches; throws when there are none. */
export function selectCases(all: readonly Case[], { only }: Options): Case[] {
  const selected = all.filter(({ name }) => only.test(name))
  if (selected.length === 0) throw new Error(`no case matches ${only}; --list shows them`)
  return selected
}

/** Berth first, so that it is measured first in every round, when what was there before is coldest. */
const kindsOf = ({ berth, workers }: Options): readonly RegistryKind[] => [
  berthKind({ source: berth, workers }),
  zot,
  zotCommit,
  distribution,
  olareg,
]

/** Those that `--registries` matches; throws when there are none. */
export function selectKinds(options: Options): RegistryKind[] {
  const all = kindsOf(options)
  const selected = all.filter(({ name }) => options.registries.test(name))
  if (selected.length > 0) return selected
  throw new Error(`no registry matches ${options.registries}; there are ${all.map(({ name }) => name).join('; ')}`)
}

async function findRegistries(options: Options, say: Say) {
  const registries: RegistryResult[] = []
  const programs = new Map<RegistryKind, FoundProgram>()
  for (const kind of selectKinds(options)) {
    const found = await kind.find()
    const { name, configuration, syncs } = kind
    if ('missing' in found) {
      registries.push({ name, missing: found.missing })
      say(`${name} is absent: ${found.missing}`)
    } else {
      registries.push({ name, version: found.version, configuration, syncs })
      programs.set(kind, found)
      say(`${name} ${found.version}`)
    }
  }
  return { registries, programs }
}

async function findTools(say: Say): Promise<Record<string, string>> {
  const wrk = await findWrk()
  const zb = await findProgram('zb')
  const tools = {
    wrk: typeof wrk === 'string' ? await versionOf(wrk, '--version') : `absent: ${wrk.missing}`,
    zb: zb === undefined ? `absent: not in $${toolsVariable} or on PATH` : await versionOf(zb),
  }
  for (const [name, version] of Object.entries(tools)) say(`${name} ${version}`)
  return tools
}

async function requireRealDisk(folder: string): Promise<void> {
  const { type } = await mountOf(folder)
  if (type === 'tmpfs' || type === 'ramfs')
    throw new Error(`${folder} is in memory (${type}): give --folder a real disk`)
}

async function commitOf(folder: string): Promise<string> {
  const git = async (...argumentList: readonly string[]) =>
    (await promisify(execFile)('git', ['-C', folder, ...argumentList])).stdout.trim()
  try {
    const commit = await git('rev-parse', '--short', 'HEAD')
    return (await git('status', '--porcelain')) === '' ? commit : `${commit} with changes`
  } catch {
    return 'unknown (no git here)'
  }
}
