/** Sends generated requests over many connections at once, judges every answer, and watches the server meanwhile. */
import type { Case, Category } from './case.ts'
import { categories } from './categories/index.ts'
import { judge } from './oracle.ts'
import { createRandom, type Random } from './random.ts'
import { exchange } from './wire.ts'
import { fill, type PreparedWorld, prepareWorld, type Target } from './world.ts'

export interface CampaignOptions {
  readonly seed: number
  readonly requests: number
  readonly connections?: number
  /** What no answer may hold besides the canary, such as paths of the server. */
  readonly forbidden?: readonly string[]
  /** Called now and then with the number of requests done. */
  readonly observe?: (done: number) => void
}

export interface Failure {
  readonly category: string
  readonly title: string
  readonly problem: string
  readonly request: string
}

export interface CampaignResult {
  readonly seed: number
  readonly requests: number
  readonly seconds: number
  /** How many answers of each status; `closed` and `hung up` beside them. */
  readonly statuses: ReadonlyMap<string, number>
  readonly categories: ReadonlyMap<string, number>
  /** The first few of each kind. */
  readonly failures: readonly Failure[]
  readonly failed: number
}

/** Cases are made in order and in batches, so that the seed decides them alone, whatever the server's speed. */
const batchSize = 400
const tlsShare = 0.1
const failuresKept = 100
const observeEvery = 500

export async function runCampaign(target: Target, options: CampaignOptions): Promise<CampaignResult> {
  const { seed, requests, connections = 32, observe } = options
  const random = createRandom(seed)
  const world = await prepareWorld(target)
  const forbidden = [world.canary, ...(options.forbidden ?? [])]
  const statuses = new Map<string, number>()
  const byCategory = new Map<string, number>()
  const failures: Failure[] = []
  let failed = 0
  let done = 0
  const started = performance.now()

  async function run(category: Category, item: Case, tls: boolean): Promise<void> {
    const endpoint = {
      port: target.port,
      ...(tls && target.ca !== undefined ? { ca: target.ca } : {}),
      ...(item.from === undefined ? {} : { from: item.from }),
    }
    const outcome = await exchange(endpoint, item.send, item)
    const problem = judge(item, outcome, { forbidden })
    count(statuses, String(outcome.answers[0]?.status ?? (outcome.closed ? 'closed' : 'hung up')))
    count(byCategory, category.name)
    done++
    if (problem !== undefined) {
      failed++
      if (failures.length < failuresKept)
        failures.push({ ...failureOf(category, item), problem: `${problem}${tls ? ' (over TLS)' : ''}` })
    }
    if (done % observeEvery === 0) observe?.(done)
  }

  for (let made = 0; made < requests; made += batchSize) {
    await world.prepareSessions(batchSize)
    const batch = Array.from({ length: Math.min(batchSize, requests - made) }, () => {
      const category = weighted(random)
      return { category, item: category.make(random.fork(), world), tls: random.chance(tlsShare) }
    })
    await inParallel(connections, batch, ({ category, item, tls }) => run(category, item, tls))
    await refill(world)
  }
  await stillServes(world)
  world.admin.close()
  const seconds = (performance.now() - started) / 1000
  return { seed, requests: done, seconds, statuses, categories: byCategory, failures, failed }
}

function failureOf(category: Category, item: Case): Omit<Failure, 'problem'> {
  const request = Buffer.concat(item.send.filter((part) => typeof part !== 'number'))
    .toString('latin1')
    .replaceAll(/eyJ[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}/g, '<token>')
  return { category: category.name, title: item.title, request: JSON.stringify(request.slice(0, 400)) }
}

const totalWeight = categories.reduce((sum, { weight }) => sum + weight, 0)

function weighted(random: Random): Category {
  let left = random.integer(totalWeight)
  for (const category of categories) {
    left -= category.weight
    if (left < 0) return category
  }
  throw new Error('the weights do not add up')
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

/** No case may have taken away what the others rely on. */
async function refill({ admin, a, b }: PreparedWorld): Promise<void> {
  for (const { repository, manifest, blob } of [a, b]) {
    for (const path of [`manifests/${manifest}`, `manifests/v1`, `blobs/${blob}`]) {
      const { status } = await admin.ask('HEAD', `/v2/${repository}/${path}`)
      if (status !== 200) throw new Error(`${repository}/${path} is gone: ${status}`)
    }
  }
}

async function stillServes({ admin }: PreparedWorld): Promise<void> {
  const bytes = Buffer.from(`after the campaign ${Math.random()}`)
  const { repository, blob, manifest, manifestBytes } = await fill(admin, 'fuzz/after', bytes, 'v1', 'still there')
  const pulledBlob = await admin.ask('GET', `/v2/${repository}/blobs/${blob}`)
  const pulledManifest = await admin.ask('GET', `/v2/${repository}/manifests/${manifest}`)
  if (!pulledBlob.body.equals(bytes) || !pulledManifest.body.equals(manifestBytes)) {
    throw new Error('after the campaign, a push and a pull give other bytes')
  }
}

export function formatResult({
  seed,
  requests,
  seconds,
  statuses,
  categories: counts,
  failures,
  failed,
}: CampaignResult): string {
  const list = (map: ReadonlyMap<string, number>) =>
    [...map]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, value]) => `${key}: ${value}`)
      .join(', ')
  return [
    `seed ${seed}: ${requests} requests in ${seconds.toFixed(1)} s, ${failed} wrong answers`,
    `  statuses   ${list(statuses)}`,
    `  categories ${list(counts)}`,
    ...failures.map(
      ({ category, title, problem, request }) => `  [${category}] ${title}\n    ${problem}\n    ${request}`,
    ),
  ].join('\n')
}
