/** Pulls of a large blob that hardly move: some read a few KB a second, the others stop after the head of the answer. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../fuzz/random.ts'
import { openRequest, type Target } from './target.ts'

export interface ReadersOptions {
  readonly target: Target
  readonly blob: LargeBlob
  readonly count: number
  readonly random: Random
  /** How many times the server has the blob open: a client that does not read cannot see that it was cut. */
  readonly timesOpen: () => number
}

/** A blob whose every byte is known without keeping all of them: a block of 1 MiB over and over. */
export interface LargeBlob {
  readonly path: string
  readonly size: number
  readonly block: Buffer
}

export interface Readers {
  /** Ends the slow ones, then waits so long for the server to cut those that do not read at all. */
  end(patienceMs: number): Promise<{ readonly problems: string[]; readonly counts: Readonly<Record<string, number>> }>
}

const pieceBytes = 4_096
const pieceMs = 1_000
/** Silence within a request, twice: the clock starts anew while the system's own buffers still take something. */
const cutWithinMs = 120_000 + 15_000

/** Every other one reads slowly and compares, every third over TLS. */
export function startReaders({ target, blob, count, random, timesOpen }: ReadersOptions): Readers {
  const stop = new AbortController()
  const problems: string[] = []
  const counts = { 'slow readers': 0, 'bytes read slowly': 0, 'readers that stand still': 0 }
  const standing: IncomingMessage[] = []

  async function read(index: number): Promise<void> {
    const request = openRequest(target, index % 3 === 0 ? 'tls' : 'plain', 'GET', blob.path)
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    request.on('error', () => undefined)
    if (response.statusCode !== 200) throw new Error(`GET ${blob.path}: ${response.statusCode}`)
    response.on('error', () => undefined) // cut: an end like another
    if (index % 2 === 0) {
      await readSlowly(response)
      return
    }
    counts['readers that stand still']++
    standing.push(response)
  }

  async function readSlowly(response: IncomingMessage): Promise<void> {
    counts['slow readers']++
    await pause(random.integer(pieceMs))
    for (let at = 0; !response.destroyed && !stop.signal.aborted; ) {
      const piece = response.read(pieceBytes) as Buffer | null
      if (piece !== null) {
        if (!isPartOf(blob, at, piece)) throw new Error(`wrong bytes at ${at} of ${blob.path}`)
        at += piece.length
        counts['bytes read slowly'] += piece.length
      }
      await pause(pieceMs, undefined, { signal: stop.signal }).catch(() => undefined)
    }
    response.destroy()
  }

  const reading = Array.from({ length: count }, async (_, index) => {
    try {
      await read(index)
    } catch (error) {
      problems.push(`slow reader ${index}: ${(error as Error).message}`)
    }
  })
  return {
    async end(patienceMs) {
      stop.abort()
      await Promise.all(reading)
      const deadline = performance.now() + patienceMs
      while (timesOpen() > 0 && performance.now() < deadline) await pause(250)
      if (patienceMs >= cutWithinMs && timesOpen() > 0) {
        problems.push(`${timesOpen()} readers that stand still are not cut within ${cutWithinMs / 1000} s`)
      }
      for (const response of standing) response.destroy()
      return { problems, counts }
    },
  }
}

function isPartOf({ block }: LargeBlob, at: number, piece: Buffer): boolean {
  for (let done = 0; done < piece.length; ) {
    const from = (at + done) % block.length
    const length = Math.min(piece.length - done, block.length - from)
    if (!piece.subarray(done, done + length).equals(block.subarray(from, from + length))) return false
    done += length
  }
  return true
}
