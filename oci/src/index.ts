/**
 * The nouns of the OCI specifications: digest, reference, media type, descriptor, platform, manifest.
 * Pure parsing and printing, shared by server, command line and portal; no storage, no HTTP, no rule of a registry.
 * Start reading in `manifest.ts`.
 */
export { type Descriptor, parseDescriptor } from './descriptor.ts'
export { algorithmOf, type Digest, type DigestAlgorithm, digestOf, hexOf, parseDigest, toDigest } from './digest.ts'
export { parseImageConfig } from './image-config.ts'
export {
  digestOfManifest,
  type ManifestDocument,
  manifestLimitBytes,
  parseManifest,
  referrerArtifactType,
} from './manifest.ts'
export { ManifestError } from './manifest-error.ts'
export { isForeignLayerType, mediaTypes, withoutParameters } from './media-type.ts'
export { type Platform, parsePlatform } from './platform.ts'
export { isRepositoryName, isTag, parseReference } from './reference.ts'
