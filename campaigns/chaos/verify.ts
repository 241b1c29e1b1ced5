/** Compares a server that has just come back with what its clients were promised. What was open is settled by what is found. */
import { basic, type Client, createClient, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { ociManifest } from '../fuzz/world.ts'
import type { Program } from '../program.ts'
import type { Journal } from './journal.ts'
import { allowedAt, expectedBlob, type RepositoryModel } from './model.ts'
import { resumeUploads } from './resume.ts'

export interface VerifyOptions {
  readonly round: number
  /** Also what earlier rounds have verified; otherwise a sample of it. */
  readonly everything: boolean
}

interface Look {
  readonly client: Client
  readonly journal: Journal
  readonly repository: RepositoryModel
  readonly wrong: (problem: string) => void
  readonly chosen: <T extends { verified: boolean }>(all: ReadonlyMap<string, T>) => [string, T][]
}

const oldOnes = 3
const width = 8

export async function verify(
  program: Program,
  journal: Journal,
  random: Random,
  options: VerifyOptions,
): Promise<void> {
  const client = createClient(program.port, basic(program.username, program.password))
  const wrong = (problem: string) => void journal.problems.push(`round ${options.round}: ${problem}`)
  const chosen: Look['chosen'] = (all) => {
    const news = [...all].filter(([, { verified }]) => options.everything || !verified)
    const old = [...all].filter(([, { verified }]) => verified)
    return options.everything || old.length === 0
      ? news
      : [...news, ...Array.from({ length: oldOnes }, () => random.pick(old))]
  }
  for (const repository of journal.repositories.values()) {
    const look = { client, journal, repository, wrong, chosen }
    // Manifests first: what they name must be there, and what no manifest names may be collected.
    await verifyManifests(look)
    await verifyBlobs(look)
    await verifyTags(look)
    await verifyReferrers(look)
  }
  await verifyUploads(client, journal, wrong)
  client.close()
}

async function verifyManifests({ client, journal, repository, wrong, chosen }: Look): Promise<void> {
  await each(chosen(repository.manifests), async ([digest, state]) => {
    const reply = await client.ask('GET', `/v2/${repository.name}/manifests/${digest}`, {
      headers: { accept: ociManifest },
    })
    const found = presenceOf(reply.status)
    if (found === undefined) wrong(`the manifest ${digest} of ${repository.name} is ${reply.status}`)
    else if (state.presence !== 'either' && state.presence !== found)
      wrong(`the manifest ${digest} of ${repository.name} is ${found}, and should be ${state.presence}`)
    if (found === 'there' && !reply.body.equals(state.bytes)) wrong(`the manifest ${digest} has other bytes`)
    if (state.presence === 'either') journal.tally.add(`open manifests found ${found ?? 'broken'}`)
    Object.assign(state, { presence: found ?? 'either', verified: true })
    if (found !== 'there') return
    for (const blob of state.blobs) {
      // Whatever was known of it: a manifest never stands there without what it names.
      const known = repository.blobs.get(blob)
      if (known?.presence === 'gone') wrong(`the manifest ${digest} names ${blob}, which was deleted`)
      else if (known?.presence === 'either') Object.assign(known, { presence: 'there', verified: false })
    }
  })
}

async function verifyBlobs({ client, journal, repository, wrong, chosen }: Look): Promise<void> {
  await each(chosen(repository.blobs), async ([digest, state]) => {
    const { status, body } = await client.ask('GET', `/v2/${repository.name}/blobs/${digest}`)
    const expected = expectedBlob(repository, digest, journal.collecting)
    const found = presenceOf(status)
    if (found === undefined) wrong(`the blob ${digest} of ${repository.name} is ${status}`)
    else if (expected !== 'either' && expected !== found)
      wrong(`the blob ${digest} of ${repository.name} is ${found}, and should be ${expected}`)
    if (found === 'there' && sha256(body) !== digest)
      wrong(`the blob ${digest} of ${repository.name} has ${body.length} bytes of ${sha256(body)}`)
    if (state.presence === 'either') journal.tally.add(`open blobs found ${found ?? 'broken'}`)
    else if (expected === 'either' && found === 'gone') journal.tally.add('blobs found collected')
    Object.assign(state, { presence: found ?? 'either', verified: true })
  })
}

/** Tags are where they were last acknowledged to be, or where a request without an answer has put them; and so is their list. */
async function verifyTags({ client, repository, wrong }: Look): Promise<void> {
  const found = new Map<string, string>()
  await each([...repository.tags.keys()], async (tag) => {
    const { status, body } = await client.ask('GET', `/v2/${repository.name}/manifests/${tag}`)
    const digest = status === 200 ? sha256(body) : undefined
    const name = `the tag ${repository.name}:${tag}`
    const allowed = allowedAt(repository, tag)
    if (presenceOf(status) === undefined) wrong(`${name} is ${status}`)
    else if (!allowed.has(digest)) wrong(`${name} is ${digest ?? 'gone'}, not ${[...allowed].join(' or ')}`)
    if (digest !== undefined && repository.manifests.get(digest)?.presence !== 'there')
      wrong(`${name} names ${digest}, which is not there`)
    repository.tags.set(tag, new Set([digest]))
    if (digest !== undefined) found.set(tag, digest)
  })
  const reply = await client.ask('GET', `/v2/${repository.name}/tags/list?n=1000`)
  const { tags } = reply.status === 200 ? (JSON.parse(reply.body.toString('utf8')) as { tags: string[] }) : { tags: [] }
  const [listed, there] = [tags, [...found.keys()]].map((names) => names.toSorted().join(', '))
  if (listed !== there) wrong(`the list of tags of ${repository.name} is ${listed}, and there are ${there}`)
}

/** What refers to a manifest is in its list, and nothing else. */
async function verifyReferrers({ client, repository, wrong }: Look): Promise<void> {
  const bySubject = new Map<string, string[]>()
  for (const [digest, { subject, presence }] of repository.manifests) {
    if (subject === undefined) continue
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), ...(presence === 'there' ? [digest] : [])])
  }
  await each([...bySubject], async ([subject, referrers]) => {
    const { status, body } = await client.ask('GET', `/v2/${repository.name}/referrers/${subject}`)
    const { manifests } = status === 200 ? (JSON.parse(body.toString('utf8')) as Index) : { manifests: [] }
    const [listed, there] = [manifests.map(({ digest }) => digest), referrers].map((all) => all.toSorted().join(', '))
    if (listed !== there) wrong(`referrers of ${subject} are ${status} ${listed}, and there are ${there}`)
  })
}

interface Index {
  readonly manifests: readonly { readonly digest: string }[]
}

async function verifyUploads(client: Client, journal: Journal, wrong: Look['wrong']): Promise<void> {
  await each(journal.cancelled.splice(0), async (location) => {
    const { status } = await client.ask('GET', location)
    if (status !== 404) wrong(`the upload ${location} was cancelled, and is ${status}`)
  })
  for (const problem of await resumeUploads(client, journal)) wrong(problem)
}

/** Undefined: neither there nor gone. */
function presenceOf(status: number): 'there' | 'gone' | undefined {
  return status === 200 ? 'there' : status === 404 ? 'gone' : undefined
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}
