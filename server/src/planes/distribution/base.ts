import { json } from '../../http/reply.ts'
import { type Route, route } from '../../http/route.ts'

/** The ping by which clients find out how to log in. ACR: 401 without a credential, also where anonymous pull is on. */
export const baseRoutes = (): Route[] =>
  (['/v2/', '/v2'] as const).map((path) =>
    route({
      methods: ['GET', 'HEAD'],
      path,
      needs: () => [],
      spec: 'OCI distribution-spec 1.1, "Determining Support"',
      handle: () => json(200, {}),
    }),
  )
