/** One generated request and what may come back for it. */
import type { Random } from './random.ts'
import type { Answer } from './wire.ts'
import type { World } from './world.ts'

/**
 * An answer that is allowed: a status (`201`), a status with the error code of the envelope (`400 NAME_INVALID`), or
 * `closed` for a connection that ends without an answer.
 */
export type Allowed = `${number}` | `${number} ${string}` | 'closed'

export interface Case {
  /** For failure messages: what is odd about the request. */
  readonly title: string
  /** What goes over the connection; a number is a pause in milliseconds. */
  readonly send: readonly (Buffer | number)[]
  readonly method: string
  readonly allowed: readonly Allowed[]
  /** The client hangs up when everything is sent and this many milliseconds have passed without an answer. */
  readonly hangUpMs?: number
  /** The client reads until the server closes, so that a second answer would be seen. */
  readonly untilClosed?: boolean
  /** Says what else is wrong with an answer that is allowed. */
  readonly check?: (answer: Answer) => string | undefined
  /** From which loopback address: failed logins are counted by it. */
  readonly from?: string
}

export interface Category {
  readonly name: string
  /** How often it is chosen, against the others. */
  readonly weight: number
  /** Makes one case. It may use up one of the world's prepared upload sessions. */
  readonly make: (random: Random, world: World) => Case
}

export interface RequestParts {
  readonly method?: string
  readonly target: string
  /** In order, repeated ones allowed. Host and Authorization are added unless given here (`undefined`: left out). */
  readonly headers?: readonly (readonly [string, string | Buffer | undefined])[]
  readonly body?: Buffer | string
  readonly version?: string
}

/** The bytes of a request; nothing is escaped or checked, as that is the point. Text is sent as Latin-1. */
export function bytesOf(world: World, parts: RequestParts): Buffer {
  const { method = 'GET', target, headers = [], body, version = 'HTTP/1.1' } = parts
  const given = new Set(headers.map(([name]) => name.toLowerCase()))
  const all: (readonly [string, string | Buffer | undefined])[] = []
  if (!given.has('host')) all.push(['Host', world.host])
  if (!given.has('authorization')) all.push(['Authorization', `Bearer ${world.tokenA}`])
  all.push(...headers)
  const content = body === undefined ? undefined : Buffer.from(body)
  if (content !== undefined && !given.has('content-length') && !given.has('transfer-encoding')) {
    all.push(['Content-Length', String(content.length)])
  }
  const chunks: Buffer[] = [Buffer.from(`${method} ${target} ${version}\r\n`, 'latin1')]
  for (const [name, value] of all) {
    if (value === undefined) continue
    chunks.push(Buffer.from(`${name}: `, 'latin1'), Buffer.isBuffer(value) ? value : Buffer.from(value, 'latin1'))
    chunks.push(Buffer.from('\r\n'))
  }
  chunks.push(Buffer.from('\r\n'), ...(content === undefined ? [] : [content]))
  return Buffer.concat(chunks)
}

/** A case of one well-framed request. */
export function caseOf(
  world: World,
  title: string,
  parts: RequestParts,
  allowed: readonly Allowed[],
  more: Pick<Case, 'check' | 'from' | 'hangUpMs' | 'untilClosed'> = {},
): Case {
  return { title, send: [bytesOf(world, parts)], method: parts.method ?? 'GET', allowed, ...more }
}

/** An address nobody else uses in this campaign, or hardly: 127.64.0.0/10. */
export function someLoopbackAddress(random: Random): string {
  return `127.${random.between(64, 127)}.${random.integer(256)}.${random.between(1, 254)}`
}
