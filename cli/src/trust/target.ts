/** One program, or family of programs, that keeps its own list of authorities. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Machine } from './machine.ts'

export interface TrustedAuthority {
  /** Absolute path of the certificate. */
  readonly file: string
  readonly pem: string
  /** The subject's common name. */
  readonly name: string
  /** A file or alias name that is this authority's own: `berth-3fa94c10`. */
  readonly id: string
  /** `host:port` of the registries that clients will name. */
  readonly registries: readonly string[]
}

export interface TrustTarget {
  readonly name: string
  /** What a person types, in order; comments start with `#`. */
  commands(authority: TrustedAuthority, machine: Machine): string[]
  /** Does it, unless it is done already. Throws `Skipped` with the reason when it may not or cannot. */
  apply(authority: TrustedAuthority, machine: Machine): Outcome
}

export interface Outcome {
  readonly changed: boolean
  /** Where the authority is now known, and what is left to do. */
  readonly detail: string
}

export class Skipped extends Error {}

/** Makes a file (0644) hold a text; `changed: false` when it did already. */
export function ensureFile(file: string, content: string): Outcome {
  if (readText(file) === content) return { changed: false, detail: file }
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content, { mode: 0o644 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error
    throw new Skipped(`${file} cannot be written by this user`, { cause: error })
  }
  return { changed: true, detail: file }
}

/** Runs a program that must follow a change of `file`; takes the file back when it fails, so that a second try is one. */
export function runAfter(file: string, machine: Machine, program: string, args: readonly string[]): void {
  try {
    machine.run(program, args)
  } catch (error) {
    rmSync(file, { force: true })
    throw new Skipped(`${program} failed: ${(error as Error).message}`, { cause: error })
  }
}

export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // absent or unreadable: the caller writes it, or is told why it cannot
  }
}

/** A word for a shell. */
export function quoted(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
