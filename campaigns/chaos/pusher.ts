/** One client that changes its own repository in every way that the protocol has, until the server is gone. */
import { type Client, NoAnswer } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { cancelUpload, deleteBlob, deleteManifest, deleteTag } from './deletions.ts'
import { pushAgain, pushImage, pushReferrer } from './images.ts'
import type { Journal } from './journal.ts'
import type { RepositoryModel } from './model.ts'
import { UnexpectedAnswer } from './request.ts'

export interface Pusher {
  readonly client: Client
  readonly journal: Journal
  readonly random: Random
  /** Nobody else changes it; others mount from it. */
  readonly repository: RepositoryModel
  /** Contents that everybody pushes again and again, so that they come, go and come back. */
  readonly popular: readonly Buffer[]
}

/** How often of a hundred. */
const actions = [
  { weight: 53, act: pushImage },
  { weight: 5, act: pushAgain },
  { weight: 8, act: pushReferrer },
  { weight: 10, act: deleteTag },
  { weight: 10, act: deleteManifest },
  { weight: 11, act: deleteBlob },
  { weight: 3, act: cancelUpload },
]
const weights = actions.reduce((sum, { weight }) => sum + weight, 0)
/** A repository with more manifests than that is thinned out, so that a long campaign does not read ever more. */
const manyManifests = 60

/** Resolves when the signal comes; before that, a lost connection means another try with something else. */
export async function changeUntilStopped(pusher: Pusher, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await choose(pusher)(pusher)
    } catch (error) {
      const { problems } = pusher.journal
      if (error instanceof UnexpectedAnswer || error instanceof NoAnswer) problems.push(error.message)
      else if (!isLostConnection(error)) throw error
      // The server is gone, or a worker is: the next try finds out.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

function choose({ random, repository }: Pusher): (pusher: Pusher) => Promise<void> {
  const there = [...repository.manifests.values()].filter(({ presence }) => presence === 'there').length
  if (there > manyManifests && random.chance(0.5)) return deleteManifest
  let left = random.integer(weights)
  for (const { weight, act } of actions) {
    left -= weight
    if (left < 0) return act
  }
  throw new Error('the weights do not add up')
}

const lostCodes = new Set<unknown>(['ECONNRESET', 'ECONNREFUSED', 'EPIPE'])

function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && lostCodes.has(error.code)) || error.message === 'the answer was cut off'
}
