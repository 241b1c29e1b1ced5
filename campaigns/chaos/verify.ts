/** Compares a server that has just come back with what the clients were promised. */
import { setTimeout as pause } from 'node:timers/promises'
import { basic, type Client, createClient, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { ociManifest } from '../fuzz/world.ts'
import type { Program } from '../program.ts'
import { type Journal, keyOf, type OpenUpload, splitKey } from './journal.ts'

export interface VerifyOptions {
  readonly round: number
  /** Also what earlier rounds have verified; otherwise a sample of it. */
  readonly everything: boolean
}

const oldOnes = 20
const width = 8

export async function verify(
  program: Program,
  journal: Journal,
  random: Random,
  options: VerifyOptions,
): Promise<void> {
  const client = createClient(program.port, basic(program.username, program.password))
  const wrong = (problem: string) => journal.problems.push(`round ${options.round}: ${problem}`)
  const chosen = <T extends { verified: boolean }>(all: ReadonlyMap<string, T>) => {
    const news = [...all].filter(([, entry]) => options.everything || !entry.verified)
    const old = [...all].filter(([, entry]) => entry.verified)
    return options.everything || old.length === 0
      ? news
      : [...news, ...Array.from({ length: oldOnes }, () => random.pick(old))]
  }

  // 1. Every acknowledged blob is there, whole.
  await each(chosen(journal.blobs), async ([key, entry]) => {
    const problem = await blobProblem(client, key)
    if (problem !== undefined) wrong(`an acknowledged blob: ${problem}`)
    entry.verified = true
  })
  // 2. Every acknowledged manifest is there, byte for byte, with all that it names.
  await each(chosen(journal.manifests), async ([key, entry]) => {
    const problem = await manifestProblem(client, journal, key, entry.bytes)
    if (problem !== undefined) wrong(`an acknowledged manifest: ${problem}`)
    entry.verified = true
  })
  // 3. What was never acknowledged is there whole, or not at all.
  await each([...journal.attemptedBlobs], async (key) => {
    const [repository, digest] = splitKey(key)
    const { status } = await client.ask('HEAD', `/v2/${repository}/blobs/${digest}`)
    if (status === 404) return
    const problem = await blobProblem(client, key)
    if (problem !== undefined) wrong(`an unacknowledged blob: ${problem}`)
    journal.carriedOut++
  })
  journal.attemptedBlobs.clear()
  await each([...journal.attemptedManifests], async ([key, bytes]) => {
    const [repository, digest] = splitKey(key)
    const { status } = await client.ask('HEAD', `/v2/${repository}/manifests/${digest}`)
    if (status === 404) return
    const problem = await manifestProblem(client, journal, key, bytes)
    if (problem !== undefined) wrong(`an unacknowledged manifest: ${problem}`)
    journal.carriedOut++
  })
  journal.attemptedManifests.clear()
  // 4. Tags are where they were last acknowledged to be, or where a push without an answer has moved them.
  await each([...journal.tags.values()], async (tag) => {
    const { status, body } = await client.ask('GET', `/v2/${tag.repository}/manifests/${tag.name}`)
    const found = status === 200 ? sha256(body) : undefined
    const allowed = [tag.acknowledged, ...tag.possible]
    if (!allowed.includes(found))
      wrong(`tag ${tag.repository}:${tag.name} is ${found ?? status}, not ${allowed.join(' or ')}`)
    const problem = found && (await manifestProblem(client, journal, keyOf(tag.repository, found), body))
    if (problem) wrong(`tag ${tag.repository}:${tag.name}: ${problem}`)
    tag.acknowledged = found
    tag.possible = []
  })
  // 5. What the lists show is there.
  await each(await listedTags(client), async ([repository, tag]) => {
    const { status } = await client.ask('HEAD', `/v2/${repository}/manifests/${tag}`)
    if (status !== 200) wrong(`${repository}:${tag} is listed, but ${status}`)
  })
  // 6. Uploads go on where the server says.
  const uploads = journal.openUploads.splice(0)
  await Promise.all(
    uploads.map(async (upload) => {
      const outcome = await resume(client, upload, options.everything)
      if (outcome === 'later') journal.openUploads.push(upload)
      else if (outcome === 'resumed') journal.resumed++
      else if (outcome !== 'finished before') wrong(`an upload: ${outcome}`)
    }),
  )
  client.close()
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}

async function blobProblem(client: Client, key: string): Promise<string | undefined> {
  const [repository, digest] = splitKey(key)
  const reply = await client.ask('GET', `/v2/${repository}/blobs/${digest}`)
  if (reply.status !== 200) return `${key} is ${reply.status}`
  const actual = sha256(reply.body)
  return actual === digest ? undefined : `${key} has ${reply.body.length} bytes of ${actual}`
}

async function manifestProblem(
  client: Client,
  journal: Journal,
  key: string,
  bytes: Buffer,
): Promise<string | undefined> {
  const [repository, digest] = splitKey(key)
  const reply = await client.ask('GET', `/v2/${repository}/manifests/${digest}`, { headers: { accept: ociManifest } })
  if (reply.status !== 200) return `${key} is ${reply.status}`
  if (!reply.body.equals(bytes)) return `${key} has other bytes`
  const { config, layers } = JSON.parse(bytes.toString('utf8')) as { config: Named; layers: Named[] }
  for (const named of [config, ...layers]) {
    const part = keyOf(repository, named.digest)
    if (journal.blobs.get(part)?.verified) continue // read moments ago
    const problem = await blobProblem(client, part)
    if (problem !== undefined) return `${key} names a blob that is not whole: ${problem}`
  }
  return undefined
}

interface Named {
  readonly digest: string
}

async function listedTags(client: Client): Promise<[string, string][]> {
  const { body } = await client.ask('GET', '/v2/_catalog?n=1000')
  const { repositories } = JSON.parse(body.toString('utf8')) as { repositories: string[] }
  const all: [string, string][] = []
  for (const repository of repositories) {
    const reply = await client.ask('GET', `/v2/${repository}/tags/list?n=1000`)
    const { tags } = JSON.parse(reply.body.toString('utf8')) as { tags: string[] }
    for (const tag of tags) all.push([repository, tag])
  }
  return all
}

/** How long the claim of a killed process on an upload lives, and a little more. */
const claimMs = 35_000

/** patient: waits for a claim that a killed process may have left behind, where otherwise a later round looks again. */
async function resume(client: Client, upload: OpenUpload, patient: boolean): Promise<string> {
  const { repository, location, bytes, digest, acknowledged, ending, lostAt = Number.NEGATIVE_INFINITY } = upload
  const free = lostAt + claimMs
  if (!patient && performance.now() < free) return 'later'
  const key = keyOf(repository, digest)
  const status = await client.ask('GET', location)
  if (status.status === 404 && ending) {
    // It ended after all; then the blob is there.
    return (await blobProblem(client, key)) ?? 'finished before'
  }
  if (status.status !== 204) return `GET ${location}: ${status.status}, after ${acknowledged} bytes were acknowledged`
  const offset = offsetOf(String(status.headers.range), acknowledged)
  if (offset < acknowledged) return `${location} has ${offset} bytes of ${acknowledged} acknowledged ones`
  if (offset > bytes.length) return `${location} has ${offset} bytes of ${bytes.length}`
  if (performance.now() < free) await pause(free - performance.now())
  const rest = bytes.subarray(offset)
  const options = rest.length === 0 ? {} : { body: rest, headers: { 'content-range': `${offset}-${bytes.length - 1}` } }
  const end = await client.ask('PUT', `${location}?digest=${digest}`, options)
  if (end.status === 201) return (await blobProblem(client, key)) ?? 'resumed'
  // Its bytes may have become the blob before the rows were written; then the upload begins anew.
  if (end.status === 404 && ending) return 'finished before'
  return `PUT ${location} at ${offset}: ${end.status} ${end.body.toString('utf8').slice(0, 300)}`
}

/** `0-0` is one byte or none; what was acknowledged tells which. */
function offsetOf(range: string, acknowledged: number): number {
  const last = Number(range.split('-')[1])
  return last === 0 && acknowledged === 0 ? 0 : last + 1
}
