/** Blobs in every way that they can come to a repository. */
import { type AskOptions, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { expectedBlob, openBlob, settleBlob } from './model.ts'
import type { Pusher } from './pusher.ts'
import { ask, UnexpectedAnswer } from './request.ts'

export interface Part {
  readonly digest: string
  readonly size: number
}

const leastBlob = 1024
const mostBlob = 5 * 1024 * 1024
const popularCount = 12

/** Contents of different sizes that all clients know. */
export const popularContents = (random: Random): Buffer[] =>
  Array.from({ length: popularCount }, () => patterned(random, layerSize(random)))

/** Small ones are more frequent: the size's logarithm is what chance chooses. */
const layerSize = (random: Random) =>
  Math.round(leastBlob * (mostBlob / leastBlob) ** (random.integer(1_000_000) / 1_000_000))

/** A short random text over and over: no two alike, and quick to make. */
function patterned(random: Random, size: number): Buffer {
  return Buffer.alloc(size, random.bytes(random.between(40, 97)))
}

export async function pushLayer(pusher: Pusher): Promise<Part> {
  const { random, popular } = pusher
  const bytes = random.chance(0.3) ? random.pick(popular) : patterned(random, layerSize(random))
  if (random.chance(0.1)) {
    // An upload that is left half done, to be resumed after the restart.
    await leaveOpen(pusher, patterned(random, random.between(leastBlob, 300_000)))
  }
  return random.chance(0.3) ? pushChunks(pusher, bytes) : pushBytes(pusher, bytes)
}

/** From another repository, whose owner may be deleting it at this moment; undefined when it was not done. */
export async function mountLayer(pusher: Pusher): Promise<Part | undefined> {
  const { journal, random, repository } = pusher
  const others = [...journal.repositories.values()].filter((other) => other !== repository)
  if (others.length === 0) return undefined
  const source = random.pick(others)
  const known = [...source.blobs].filter(([, { presence }]) => presence !== 'gone').slice(-100)
  if (known.length === 0) return undefined
  const [digest, { size }] = random.pick(known)
  const wasSure = expectedBlob(source, digest, journal.collecting) === 'there'
  const { removals } = source
  openBlob(repository, digest, size)
  const path = `/v2/${repository.name}/blobs/uploads/?mount=${digest}&from=${source.name}`
  const reply = await ask(pusher, 'POST', path, [201, 202])
  if (reply.status === 201) {
    journal.tally.add('mounts')
    return acknowledge(pusher, digest, size)
  }
  if (wasSure && source.removals === removals)
    throw new UnexpectedAnswer(`POST ${path}: 202, though ${source.name} has the blob`)
  // The blob was not there to be mounted, so an upload was begun, which nobody wants.
  await ask(pusher, 'DELETE', String(reply.headers.location), [204])
  journal.tally.add('mounts from where it had just been deleted')
  return undefined
}

export async function pushBytes(pusher: Pusher, bytes: Buffer): Promise<Part> {
  const { random, repository } = pusher
  const digest = sha256(bytes)
  const options: AskOptions = random.chance(0.2) ? { body: bytes, pieces: random.between(2, 20) } : { body: bytes }
  if (random.chance(0.5)) {
    openBlob(repository, digest, bytes.length)
    await ask(pusher, 'POST', `/v2/${repository.name}/blobs/uploads/?digest=${digest}`, [201], options)
  } else {
    await end(pusher, await begin(pusher), bytes, digest, 0, options)
  }
  return acknowledge(pusher, digest, bytes.length)
}

async function pushChunks(pusher: Pusher, bytes: Buffer): Promise<Part> {
  const { random } = pusher
  const digest = sha256(bytes)
  const { location, at } = await patchSome(pusher, bytes, digest, random.between(1, 4), bytes.length)
  const rest = bytes.subarray(at)
  await end(pusher, location, bytes, digest, at, rest.length === 0 ? {} : { body: rest })
  return acknowledge(pusher, digest, bytes.length)
}

async function leaveOpen(pusher: Pusher, bytes: Buffer): Promise<void> {
  const { journal, random, repository } = pusher
  const digest = sha256(bytes)
  const { location, at } = await patchSome(pusher, bytes, digest, random.between(1, 3), bytes.length - 1)
  journal.openUploads.push({ repository, location, bytes, digest, acknowledged: at, last: 'chunk', lost: false })
}

/** Begins an upload and sends so many chunks, of at most so many bytes together. */
async function patchSome(pusher: Pusher, bytes: Buffer, digest: string, chunks: number, most: number) {
  const { journal, random, repository } = pusher
  let location = await begin(pusher)
  let at = 0
  for (let chunk = 0; chunk < chunks && at < most; chunk++) {
    const end = Math.min(most, at + random.between(1, Math.ceil(bytes.length / chunks)))
    const headers: Record<string, string> = random.chance(0.5) ? { 'content-range': `${at}-${end - 1}` } : {}
    try {
      const reply = await ask(pusher, 'PATCH', location, [202], { body: bytes.subarray(at, end), headers })
      location = String(reply.headers.location)
      at = end
    } catch (error) {
      const upload = { repository, location, bytes, digest, acknowledged: at, last: 'chunk' as const, lost: true }
      if (!(error instanceof UnexpectedAnswer)) journal.openUploads.push(upload)
      throw error
    }
  }
  return { location, at }
}

async function begin(pusher: Pusher): Promise<string> {
  const reply = await ask(pusher, 'POST', `/v2/${pusher.repository.name}/blobs/uploads/`, [202])
  return String(reply.headers.location)
}

async function end(
  pusher: Pusher,
  location: string,
  bytes: Buffer,
  digest: string,
  acknowledged: number,
  options: AskOptions,
): Promise<void> {
  const { journal, repository } = pusher
  openBlob(repository, digest, bytes.length)
  try {
    await ask(pusher, 'PUT', `${location}?digest=${digest}`, [201], options)
  } catch (error) {
    const upload = { repository, location, bytes, digest, acknowledged, last: 'end' as const, lost: true }
    if (!(error instanceof UnexpectedAnswer)) journal.openUploads.push(upload)
    throw error
  }
}

function acknowledge({ journal, repository }: Pusher, digest: string, size: number): Part {
  settleBlob(repository, digest, 'there')
  journal.tally.add('blobs acknowledged')
  journal.tally.add('bytes acknowledged', size)
  return { digest, size }
}
