/** What tests read off the wire: raw requests and answers, errors, challenges, tokens. */
import assert from 'node:assert/strict'
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import type { TestApp } from './app.ts'

export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Every line of a header that may be repeated. */
  lines(name: string): string[]
  readonly body: Buffer
}

export interface RawRequest {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Uint8Array
}

/** A request as it is written here: `fetch` sets Host itself, tidies paths and joins headers. No credential is added. */
export function rawRequest(app: TestApp, path: string, given: RawRequest = {}): Promise<RawAnswer> {
  const { method = 'GET', headers = {}, body } = given
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: app.port, path, method, agent: false, headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          lines: (name) => answer.headersDistinct[name.toLowerCase()] ?? [],
          body: Buffer.concat(chunks),
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

export interface WireErrorEntry {
  readonly code: string
  readonly message: string
  readonly detail?: unknown
}

/** The errors of an answer that must have this status and this code in every entry. */
export async function errorsOf(response: Response, status: number, code: string): Promise<WireErrorEntry[]> {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
  const { errors, ...rest } = JSON.parse(text) as { errors: WireErrorEntry[] }
  assert.deepEqual(rest, {})
  assert.ok(errors.length > 0)
  for (const error of errors) assert.equal(error.code, code, text)
  return errors
}

export async function errorOf(response: Response, status: number, code: string): Promise<WireErrorEntry> {
  const errors = await errorsOf(response, status, code)
  assert.equal(errors.length, 1)
  return errors[0] as WireErrorEntry
}

/** Takes a challenge apart with regard to quotes, as the SDKs do. */
export function challengeOf(response: Response): Record<string, string> {
  const header = response.headers.get('www-authenticate')
  assert.ok(header !== null, 'no challenge')
  assert.match(header, /^Bearer [a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*$/)
  return Object.fromEntries(
    Array.from(header.matchAll(/([a-z_]+)="([^"]*)"/g), ([, name = '', value = '']) => [name, value]),
  )
}

/** An ACR access token for the admin user, or for whoever `authorization` says (empty: nobody). */
export async function tokenFor(app: TestApp, scopes: readonly string[], authorization = app.admin): Promise<string> {
  const query = new URLSearchParams([['service', app.host], ...scopes.map((scope) => ['scope', scope])])
  const response = await app.fetch(`/oauth2/token?${query}`, { headers: { authorization } })
  assert.equal(response.status, 200, await response.clone().text())
  return ((await response.json()) as { access_token: string }).access_token
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

export const basic = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

export function claimsOf(token: string): Record<string, unknown> & { access?: unknown } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
