/** What the row of a manifest must say, worked out from its bytes. */
import {
  algorithmOf,
  digestOf,
  type ManifestDocument,
  ManifestError,
  mediaTypes,
  parseDigest,
  parseManifest,
} from '@berth/oci'
import { factsOf, isNamed, type ManifestFacts, type NamedContent, namedBy } from '../manifest-rows.ts'

export interface StoredManifest extends ManifestFacts {
  readonly id: number
  readonly repository_id: number
  readonly digest: string
  readonly bytes: Uint8Array
}

export interface StoredReference extends NamedContent {
  readonly repository_id: number
}

export type Judgement =
  /** The bytes are not those of the digest. */
  | { readonly kind: 'damaged'; readonly detail: string }
  /** They are, and no format that we know fits them. */
  | { readonly kind: 'unreadable'; readonly detail: string }
  | {
      readonly kind: 'sound'
      readonly document: ManifestDocument
      readonly facts: ManifestFacts
      readonly named: readonly NamedContent[]
      /** Where the row says something else; empty where it does not. */
      readonly wrong: readonly string[]
    }

export function judgeManifest(row: StoredManifest, references: readonly StoredReference[]): Judgement {
  const digest = parseDigest(row.digest)
  if (digest === undefined) return { kind: 'unreadable', detail: 'the digest is malformed' }
  const hasDigest = digestOf(algorithmOf(digest), row.bytes) === digest
  const document = documentOf(row)
  if (document instanceof ManifestError) {
    if (hasDigest) return { kind: 'unreadable', detail: document.message }
    return { kind: 'damaged', detail: `they are ${digestOf(algorithmOf(digest), row.bytes)}` }
  }
  if (!hasDigest && !isNamed(document, row.bytes, digest)) {
    return { kind: 'damaged', detail: `they are ${digestOf(algorithmOf(digest), row.bytes)}` }
  }
  const facts = factsOf(document, row.bytes)
  const named = namedBy(document)
  const wrong = Object.entries(facts).flatMap(([column, value]) => {
    const stated = row[column as keyof ManifestFacts]
    return stated === value ? [] : [`${column} is ${shortened(stated)} and must be ${shortened(value)}`]
  })
  return { kind: 'sound', document, facts, named, wrong: [...wrong, ...wrongReferences(row, references, named)] }
}

/** Where the stated media type does not fit, the one that does, if there is exactly one. */
function documentOf({ bytes, media_type }: StoredManifest): ManifestDocument | ManifestError {
  const stated = parsed(bytes, media_type)
  if (!(stated instanceof ManifestError)) return stated
  const fitting = Object.values(mediaTypes)
    .map((type) => parsed(bytes, type))
    .filter((document) => !(document instanceof ManifestError))
  return fitting.length === 1 ? (fitting[0] ?? stated) : stated
}

function parsed(bytes: Uint8Array, mediaType: string): ManifestDocument | ManifestError {
  try {
    return parseManifest(bytes, mediaType)
  } catch (error) {
    if (error instanceof ManifestError) return error
    throw error
  }
}

function wrongReferences(
  { repository_id }: StoredManifest,
  references: readonly StoredReference[],
  named: readonly NamedContent[],
): string[] {
  const keyOf = ({ role, digest }: NamedContent) => `${role} ${digest}`
  const known = new Set(references.filter((one) => one.repository_id === repository_id).map(keyOf))
  const wanted = new Set(named.map(keyOf))
  const absent = [...wanted].filter((key) => !known.has(key))
  const strange = references.map(keyOf).filter((key) => !wanted.has(key))
  return [
    ...(absent.length > 0 ? [`${absent.length} references are not noted, such as ${absent[0]}`] : []),
    ...(strange.length > 0
      ? [`${strange.length} references are noted that it does not have, such as ${strange[0]}`]
      : []),
  ]
}

const shortened = (value: string | number | null) => String(value).slice(0, 100)
