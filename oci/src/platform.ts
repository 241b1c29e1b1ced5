import { optionalString, optionalStrings, requiredObject } from './json.ts'

/** What an image runs on. Spec: OCI image-spec 1.1, image-index.md, `platform`; `features` is Docker's. */
export interface Platform {
  /** As Go's GOARCH: `amd64`, `arm64`; empty when not stated. */
  readonly architecture: string
  /** As Go's GOOS: `linux`, `windows`; empty when not stated. */
  readonly os: string
  readonly variant?: string
  readonly 'os.version'?: string
  readonly 'os.features'?: readonly string[]
  readonly features?: readonly string[]
}

/**
 * at: where the value stands, for messages. Throws `ManifestError` when a field has the wrong type.
 * A missing `architecture` or `os` is read as empty, as Go's clients do: indexes of artifacts are pushed like that.
 */
export function parsePlatform(value: unknown, at = 'platform'): Platform {
  const platform = requiredObject(value, at)
  const variant = optionalString(platform, 'variant', at)
  const osVersion = optionalString(platform, 'os.version', at)
  const osFeatures = optionalStrings(platform, 'os.features', at)
  const features = optionalStrings(platform, 'features', at)
  return {
    architecture: optionalString(platform, 'architecture', at) ?? '',
    os: optionalString(platform, 'os', at) ?? '',
    ...(variant !== undefined && { variant }),
    ...(osVersion !== undefined && { 'os.version': osVersion }),
    ...(osFeatures !== undefined && { 'os.features': osFeatures }),
    ...(features !== undefined && { features }),
  }
}
