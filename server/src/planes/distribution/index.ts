/** The OCI and Docker registry API, `/v2/**`. Each file is a group of endpoints; `errors.ts` names what goes wrong. */
import type { Registry } from '../../core/registry/registry.ts'
import type { Plane } from '../../http/plane.ts'
import type { ReplyHeaders } from '../../http/reply.ts'
import { ociBugReply, ociErrorReply } from '../../http/wire-error.ts'
import { baseRoutes } from './base.ts'
import { blobRoutes } from './blobs.ts'
import { distributionErrors } from './errors.ts'
import { listRoutes } from './lists.ts'
import { manifestRoutes } from './manifests.ts'
import { uploadRoutes } from './uploads.ts'

/** headers: what every plane of this server adds to its answers. */
export function distributionPlane(registry: Registry, headers: ReplyHeaders): Plane {
  return {
    name: 'distribution',
    prefixes: ['/v2/', '/v2'],
    registryHosts: true,
    routes: [
      ...baseRoutes(),
      ...manifestRoutes(registry),
      ...uploadRoutes(registry),
      ...blobRoutes(registry),
      ...listRoutes(registry),
    ],
    headers: { ...headers, 'Docker-Distribution-Api-Version': 'registry/2.0' },
    fault: (fault, request) => ociErrorReply(distributionErrors, fault, request),
    bug: ociBugReply,
  }
}
