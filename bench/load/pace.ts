/** When the operations of a job begin, and how long each takes. */
import { setTimeout as pause } from 'node:timers/promises'

/** One operation by one of the clients; the bytes that it moved. */
export type Operation = (client: number) => Promise<number>

export interface Paced {
  /** Milliseconds of each operation, in the order of their ends. */
  readonly times: readonly number[]
  /** Moved by all of them. */
  readonly bytes: number
}

export interface End {
  /** No operation begins at this moment or later; a time of `performance.now()`. */
  readonly deadline: number
  /** Ends it before. */
  isOver(): boolean
}

/**
 * Every client does one operation after another; what has begun is finished, and counts. A server that is slow is asked less.
 * most: how many operations begin at all.
 */
export async function oneAfterAnother(
  { clients, most, operation }: { readonly clients: number; readonly most: number; readonly operation: Operation },
  end: End,
): Promise<Paced> {
  const times: number[] = []
  let bytes = 0
  let begun = 0
  const client = async (number: number): Promise<void> => {
    while (!end.isOver() && performance.now() < end.deadline && begun < most) {
      begun++
      const from = performance.now()
      const moved = await operation(number)
      bytes += moved
      times.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)))
  return { times, bytes }
}

/**
 * So many operations a second begin, evenly, however many have not ended yet. Each counts from the moment when it was due:
 * also the time for which it could not even begin, because the server or this process was busy, is one that a user waits.
 * Throws when an operation fails, once all have ended.
 */
export async function atFixedRate(
  { perSecond, operation }: { readonly perSecond: number; readonly operation: Operation },
  end: End,
): Promise<Paced> {
  const times: number[] = []
  let bytes = 0
  let failure: { readonly error: unknown } | undefined
  const start = performance.now()
  const underWay: Promise<void>[] = []
  const begin = async (number: number, due: number): Promise<void> => {
    try {
      const moved = await operation(number)
      bytes += moved
      times.push(performance.now() - due)
    } catch (error) {
      failure ??= { error }
    }
  }
  for (let number = 0; ; number++) {
    const due = start + (number * 1000) / perSecond
    while (performance.now() < due && due < end.deadline && !end.isOver()) await pause(due - performance.now())
    if (due >= end.deadline || end.isOver() || failure !== undefined) break
    underWay.push(begin(number, due))
  }
  await Promise.all(underWay)
  if (failure !== undefined) throw failure.error
  return { times, bytes }
}
