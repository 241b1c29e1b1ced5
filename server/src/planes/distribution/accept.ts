/** Content negotiation for manifests, as distribution and ACR do it. */
import { mediaTypes, withoutParameters } from '@berth/oci'

type OciFamily = 'artifact' | 'index' | 'manifest'

/** Docker's types and schema 1 are served whatever the client says; the others only to a client that names them. */
const families: Readonly<Record<string, OciFamily>> = {
  [mediaTypes.ociManifest]: 'manifest',
  [mediaTypes.ociIndex]: 'index',
  [mediaTypes.ociArtifactManifest]: 'artifact',
  [mediaTypes.orasArtifactManifest]: 'artifact',
}

/**
 * What kind of OCI document the client cannot take, or undefined when all is well. accept: the `Accept` header's lines, of
 * which there may be many; none at all accepts everything, and so does a wildcard. Weights are ignored.
 */
export function unacceptable(mediaType: string, accept: readonly string[]): OciFamily | undefined {
  const family = families[mediaType]
  if (family === undefined) return undefined
  let namesAny = false
  for (const line of accept) {
    // Not split at once: clients name dozens of types, and the first is the right one as a rule.
    for (let start = 0; start <= line.length; ) {
      const comma = line.indexOf(',', start)
      const end = comma === -1 ? line.length : comma
      const type = withoutParameters(line.slice(start, end))
      if (type === mediaType || type === '*/*' || type === 'application/*') return undefined
      namesAny ||= type !== ''
      start = end + 1
    }
  }
  return namesAny ? family : undefined
}
