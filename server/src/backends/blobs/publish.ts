/** Making the pieces of a session one object under its final key, within the store wherever that allows it. */
import { inParallel } from '../../base/in-parallel.ts'
import type { RetryingObjects } from './object-retries.ts'
import { lengthOf, type Piece } from './object-session.ts'
import type { Multipart } from './object-store.ts'
import type { Holder, PartBuffers } from './part-buffers.ts'
import { type Extract, type PlannedPart, planParts } from './publish-plan.ts'

export interface PublishOptions {
  readonly objects: RetryingObjects
  readonly buffers: PartBuffers
  /** Where the pieces are. */
  readonly prefix: string
  readonly target: string
  /** Of all pieces together. */
  readonly sha256: string | undefined
  readonly read: (extract: Extract) => Promise<AsyncIterable<Uint8Array>>
}

const parallelCopies = 4
const parallelReads = 8
/** Parts of one intermediate object, where there are too many for the final one. */
const joinedParts = 1_000

/** pieces: in order, without gaps. Replaces what is there under the target's key, all at once. */
export async function publish(pieces: readonly Piece[], options: PublishOptions): Promise<void> {
  const { objects, prefix, target, sha256 } = options
  const { partBytes, maxCopyBytes } = objects.limits
  const size = lengthOf(pieces)
  const [only] = pieces
  const whole = pieces.length === 1 && only?.bytes === undefined && only?.size === size ? only : undefined
  if (whole && size <= maxCopyBytes) await objects.copy(prefix + whole.name, target)
  else if (size <= partBytes)
    await withBytes(pieces.map(extractOf), options, (bytes) => objects.put(target, bytes, sha256))
  else await inParts(planParts(pieces, objects.limits), options, target)
}

const extractOf = (piece: Piece): Extract => ({ piece, start: 0, length: piece.length })

async function inParts(plan: readonly PlannedPart[], options: PublishOptions, target: string): Promise<void> {
  const { objects } = options
  if (plan.length > objects.limits.maxParts) return joined(plan, options)
  const multipart = await objects.begin(target)
  try {
    const tags = await writeParts(multipart, plan, options)
    await objects.complete(multipart, tags, sizeOf(plan))
  } catch (error) {
    // Where that does not get through either, `listSessions` finds the parts.
    await objects.abandon(multipart).catch(() => undefined)
    throw error
  }
}

/** Very many small appends: first into larger objects, then those into one. */
async function joined(plan: readonly PlannedPart[], options: PublishOptions): Promise<void> {
  const { objects, prefix } = options
  const { maxParts, maxCopyBytes } = objects.limits
  if (sizeOf(plan) > maxParts * maxCopyBytes)
    throw new Error(`a blob of ${sizeOf(plan)} bytes is too large for the store`)
  const perObject = Math.min(joinedParts, maxParts)
  const pieces: Piece[] = []
  for (let first = 0; first < plan.length; first += perObject) {
    const some = plan.slice(first, first + perObject)
    const name = `joined-${first}`
    const size = sizeOf(some)
    await inParts(some, options, prefix + name)
    pieces.push({ name, size, offset: lengthOf(pieces), length: size })
  }
  await publish(pieces, options)
  for (const { name } of pieces) await objects.delete(prefix + name)
}

const sizeOf = (plan: readonly PlannedPart[]) =>
  plan.flatMap((part) => (part.kind === 'copied' ? [part.extract] : part.extracts)).reduce(addLength, 0)

const addLength = (sum: number, { length }: Extract) => sum + length

/** Copies side by side, then what goes through our memory, one part after the other. Returns the parts' tags in order. */
async function writeParts(
  multipart: Multipart,
  plan: readonly PlannedPart[],
  options: PublishOptions,
): Promise<string[]> {
  const { objects, prefix } = options
  const tags: string[] = []
  const numbered = plan.map((part, index) => ({ part, number: index + 1 }))
  await inParallel(numbered, parallelCopies, async ({ part, number }) => {
    if (part.kind !== 'copied') return
    const { piece, start, length } = part.extract
    const range = { start, end: start + length - 1 }
    tags[number - 1] = await objects.copyPart(multipart, number, prefix + piece.name, range)
  })
  for (const { part, number } of numbered) {
    if (part.kind !== 'gathered') continue
    await withBytes(part.extracts, options, async (bytes) => {
      tags[number - 1] = await objects.putPart(multipart, number, bytes)
    })
  }
  return tags
}

/** Nobody else can be served by taking this memory away: it is in use for the time of a few calls. */
const busy: Holder = { spill: () => undefined }

/** Hands over the bytes of some extracts in one piece of memory; they fit into a part. */
async function withBytes(
  extracts: readonly Extract[],
  { buffers, read }: PublishOptions,
  use: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const [only] = extracts
  if (extracts.length <= 1 && (only === undefined || only.piece.bytes)) {
    return use(only?.piece.bytes?.subarray(only.start, only.start + only.length) ?? new Uint8Array())
  }
  const size = extracts.reduce(addLength, 0)
  const buffer = await buffers.take(size <= buffers.smallBytes ? buffers.smallBytes : buffers.partBytes, busy)
  try {
    let next = 0
    const placed = extracts.map((extract) => {
      const at = next
      next += extract.length
      return { extract, at }
    })
    await inParallel(placed, parallelReads, async ({ extract, at }) => {
      let position = at
      for await (const chunk of await read(extract)) {
        buffer.set(chunk, position)
        position += chunk.length
      }
    })
    await use(buffer.subarray(0, size))
  } finally {
    buffers.give(buffer)
  }
}
