/** What the races of one round share. */
import type { Client, Reply } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import type { Tally } from '../report.ts'

export interface Round {
  readonly random: Random
  readonly clients: readonly Client[]
  /** Where each client pushes: all to one repository, or by turns to two. */
  readonly repositories: readonly [string, ...string[]]
  readonly tag: string
  readonly tally: Tally
  readonly wrong: (problem: string) => void
}

export function expect201({ status, body }: Reply, what: string, wrong: (problem: string) => void): void {
  if (status !== 201) wrong(`${what}: ${status} ${body.toString('utf8').slice(0, 300)}`)
}

/** Opens when so many have arrived. */
export function barrier(count: number): { readonly opened: Promise<void>; arrive(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let missing = count
  return {
    opened: promise,
    arrive() {
      missing--
      if (missing === 0) resolve()
    },
  }
}

export const pickAt = (choices: readonly [string, ...string[]], index: number): string =>
  choices[index % choices.length] ?? choices[0]
