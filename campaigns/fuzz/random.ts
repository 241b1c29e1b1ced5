/** Repeatable chance: the same seed makes the same campaign. */

export interface Random {
  /** From 0 up to, but not, `below`. */
  integer(below: number): number
  /** Both ends included. */
  between(least: number, most: number): number
  chance(probability: number): boolean
  pick<T>(choices: readonly T[]): T
  /** `length` characters out of `alphabet`. */
  text(length: number, alphabet?: string): string
  bytes(length: number): Buffer
  /** Another generator that goes its own way from here. */
  fork(): Random
}

const lowerCase = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** mulberry32: 32 bits of state, good enough to choose test cases by. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const integer = (below: number) => Math.floor(next() * below)
  return {
    integer,
    between: (least, most) => least + integer(most - least + 1),
    chance: (probability) => next() < probability,
    pick: (choices) => {
      const choice = choices[integer(choices.length)]
      if (choice === undefined && choices.length === 0) throw new Error('nothing to pick from')
      return choice as (typeof choices)[number]
    },
    text: (length, alphabet = lowerCase) =>
      Array.from({ length }, () => alphabet[integer(alphabet.length)] ?? '').join(''),
    bytes: (length) => {
      const bytes = Buffer.allocUnsafe(length)
      for (let at = 0; at < length; at++) bytes[at] = integer(256)
      return bytes
    },
    fork: () => createRandom(integer(0x1_0000_0000)),
  }
}

export const randomSeed = (): number => Math.floor(Math.random() * 0x1_0000_0000)
