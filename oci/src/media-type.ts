/** Every kind of manifest that is stored and served. */
export const mediaTypes = {
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  /** In the release candidates of image-spec 1.1, removed from 1.1 itself; still pushed by old clients. */
  ociArtifactManifest: 'application/vnd.oci.artifact.manifest.v1+json',
  orasArtifactManifest: 'application/vnd.cncf.oras.artifact.manifest.v1+json',
} as const

const foreignLayerTypes: ReadonlySet<string> = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
])

/**
 * mediaType: without parameters. True of layers that may be kept elsewhere, at the descriptor's `urls`, and missing here.
 * Spec: OCI image-spec 1.1, layer.md, "Non-Distributable Layers"; Docker image manifest v2.2, "urls".
 */
export function isForeignLayerType(mediaType: string): boolean {
  return foreignLayerTypes.has(mediaType)
}

/** `Text/HTML; charset=utf-8` becomes `text/html`. Spec: RFC 9110, 8.3.1: type names ignore case. */
export function withoutParameters(contentType: string): string {
  const end = contentType.indexOf(';')
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}
