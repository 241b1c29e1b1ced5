/** Whether what came back is what the protocol wants. */
import type { Allowed, Case } from './case.ts'
import { type Answer, type Exchange, headerOf } from './wire.ts'

export interface Secrets {
  /** Bytes that no answer may hold: another repository's canary, paths of the server. */
  readonly forbidden: readonly string[]
}

/** What is wrong, in one sentence; undefined when nothing is. */
export function judge(
  item: Case,
  { answers, closed, trouble, received }: Exchange,
  secrets: Secrets,
): string | undefined {
  const text = received.toString('latin1')
  const leaked = secrets.forbidden.find((secret) => text.includes(secret))
  if (leaked !== undefined) return `the answer gives away ${JSON.stringify(leaked.slice(0, 60))}`
  if (trouble !== undefined) return trouble
  const [answer] = answers
  if (answer === undefined) {
    if (item.hangUpMs !== undefined && !closed) return undefined // we hung up on it
    return item.allowed.includes('closed') ? undefined : 'the connection ended without an answer'
  }
  if (item.untilClosed && answers.length > 1) {
    return `${answers.length} answers (${answers.map(({ status }) => status).join(', ')}) where one was due`
  }
  if (answer.status >= 500) return `${answer.status}: ${answer.body.toString('utf8').slice(0, 300)}`
  const isHead = item.method === 'HEAD'
  const found = codesOf(answer, isHead)
  if (typeof found === 'string') return found
  if (!isAllowed(item.allowed, answer.status, found, isHead)) {
    return `${answer.status} ${found.join('+')} ${answer.status < 400 ? '' : answer.body.toString('utf8').slice(0, 200)}`
  }
  return itsHeaders(answer) ?? item.check?.(answer)
}

function isAllowed(allowed: readonly Allowed[], status: number, codes: readonly string[], isHead: boolean): boolean {
  return allowed.some((entry) => {
    const [wanted, code] = entry.split(' ')
    return Number(wanted) === status && (code === undefined || isHead || codes.every((known) => known === code))
  })
}

const stackTrace = /\n\s+at |node:internal|\.ts:\d+:\d+|node_modules/

/** The codes of an error's envelope; a string says what is wrong with it. */
function codesOf(answer: Answer, isHead: boolean): readonly string[] | string {
  const text = answer.body.toString('utf8')
  if (stackTrace.test(text)) return `a stack trace: ${text.slice(0, 300)}`
  if (answer.status < 400 || isHead) return []
  if (!headerOf(answer, 'content-type')?.startsWith('application/json')) {
    return `${answer.status} without JSON: ${text.slice(0, 200)}`
  }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return `${answer.status} with a body that is not JSON: ${text.slice(0, 200)}`
  }
  const errors = (body as { errors?: unknown } | null)?.errors
  if (!Array.isArray(errors) || errors.length === 0) return `${answer.status} without errors: ${text.slice(0, 200)}`
  for (const { code, message } of errors as { code?: unknown; message?: unknown }[]) {
    if (typeof code !== 'string' || !/^[A-Z_]+$/.test(code)) return `an error without a code: ${text.slice(0, 200)}`
    if (typeof message !== 'string' || message === '') return `an error without a message: ${text.slice(0, 200)}`
  }
  return [...new Set((errors as { code: string }[]).map(({ code }) => code))]
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function itsHeaders(answer: Answer): string | undefined {
  if (!guid.test(headerOf(answer, 'x-ms-correlation-request-id') ?? '')) return 'no correlation id'
  if (headerOf(answer, 'x-content-type-options') !== 'nosniff') return 'no X-Content-Type-Options'
  const challenges = answer.headers.filter(([name]) => name === 'www-authenticate')
  if (answer.status === 401 && challenges.length !== 1) return `${challenges.length} challenges`
  return undefined
}
