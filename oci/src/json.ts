/**
 * Reading fields of untrusted JSON. The `at` of each function is where its object stands in the document
 * (`layers[3]`, or nothing for the document itself), for messages.
 * In optional fields `null` counts as absent, since that is how Go's clients both write and read it.
 */
import { ManifestError } from './manifest-error.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** Manifests nest a handful of levels; a body of nothing but brackets would hold up the process for most of a second. */
const deepest = 256

/** Returns undefined for anything but one JSON object in UTF-8 without byte order mark, nested at most 256 levels deep. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | undefined {
  if (nestsTooDeep(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Counts brackets outside strings; what is not JSON at all is the parser's to find. */
function nestsTooDeep(bytes: Uint8Array): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (inString) {
      if (byte === 0x5c)
        i++ // a backslash takes the next character with it
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x5b || byte === 0x7b) {
      depth++
      if (depth > deepest) return true
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return false
}

/**
 * The first top-level field that is there twice, however it is spelled (`"layers"`, `"\\u006cayers"`): JSON leaves open which
 * of the two counts. bytes: one valid JSON object.
 */
export function findRepeatedField(bytes: Uint8Array): string | undefined {
  const seen = new Set<string>()
  let depth = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte === 0x5b || byte === 0x7b) depth++
    else if (byte === 0x5d || byte === 0x7d) depth--
    if (byte !== 0x22) continue
    const start = i
    for (i++; bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++
    if (depth !== 1 || !isFollowedByColon(bytes, i + 1)) continue
    const field: string = JSON.parse(Buffer.from(bytes.subarray(start, i + 1)).toString('utf8'))
    if (seen.has(field)) return field
    seen.add(field)
  }
  return undefined
}

function isFollowedByColon(bytes: Uint8Array, from: number): boolean {
  let i = from
  while (bytes[i] === 0x20 || bytes[i] === 0x09 || bytes[i] === 0x0a || bytes[i] === 0x0d) i++
  return bytes[i] === 0x3a
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** True for own fields only, `null` included. */
export function hasField(object: JsonObject, field: string): boolean {
  return Object.hasOwn(object, field)
}

export function pathOf(at: string, field: string): string {
  return at === '' ? field : `${at}.${field}`
}

export function requiredObject(value: unknown, at: string): JsonObject {
  if (!isJsonObject(value)) throw new ManifestError(`${at} must be an object`)
  return value
}

export function requiredArray(object: JsonObject, field: string, at = ''): readonly unknown[] {
  const value = object[field]
  if (!Array.isArray(value)) throw new ManifestError(`${pathOf(at, field)} must be an array`)
  return value
}

/** What is read here ends up in columns and headers, and neither PostgreSQL nor HTTP has a NUL in its text. */
function checkText(value: string, field: string, at: string): void {
  if (value.includes('\0')) throw new ManifestError(`${pathOf(at, field)} must not hold a NUL character`)
}

/** A string with at least one character, and no NUL among them. */
export function requiredString(object: JsonObject, field: string, at = ''): string {
  const value = object[field]
  if (typeof value !== 'string' || value === '') {
    throw new ManifestError(`${pathOf(at, field)} must be a non-empty string`)
  }
  checkText(value, field, at)
  return value
}

/** A string without a NUL. */
export function optionalString(object: JsonObject, field: string, at = ''): string | undefined {
  const value = object[field] ?? undefined
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw new ManifestError(`${pathOf(at, field)} must be a string`)
  checkText(value, field, at)
  return value
}

export function optionalStrings(object: JsonObject, field: string, at = ''): readonly string[] | undefined {
  const value = object[field] ?? undefined
  if (value === undefined) return undefined
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new ManifestError(`${pathOf(at, field)} must be an array of strings`)
  }
  return value
}

export function optionalStringMap(
  object: JsonObject,
  field: string,
  at = '',
): Readonly<Record<string, string>> | undefined {
  const value = object[field] ?? undefined
  if (value === undefined) return undefined
  if (!isJsonObject(value) || !Object.values(value).every((item) => typeof item === 'string')) {
    throw new ManifestError(`${pathOf(at, field)} must map strings to strings`)
  }
  return value as Readonly<Record<string, string>>
}

/** Returns undefined for text with foreign characters, or wrong padding: only `base64url` may go without it. */
export function decodeBase64(text: string, encoding: 'base64' | 'base64url'): Uint8Array | undefined {
  const bytes = Buffer.from(text, encoding)
  const canonical = encoding === 'base64url' ? text.replace(/={1,2}$/, '') : text
  return bytes.toString(encoding) === canonical ? bytes : undefined
}
