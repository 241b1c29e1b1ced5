/** Upload sessions that nobody began, or that are somebody else's. */
import { type Case, type Category, caseOf } from '../case.ts'
import { escaped } from './names.ts'

export const sessions: Category = {
  name: 'sessions',
  weight: 6,
  make(random, world): Case {
    const { a, b } = world
    const uuid = `${random.text(8, hex)}-${random.text(4, hex)}-8${random.text(3, hex)}-8${random.text(3, hex)}-${random.text(12, hex)}`
    const session = random.pick([
      uuid,
      uuid.toUpperCase(),
      'x',
      '..',
      '.',
      '%',
      '\0',
      `${uuid}\0`,
      `${uuid} `,
      `../${uuid}`,
      '..\\..\\x',
      "' or 1=1 --",
      '*',
      '__proto__',
      'a'.repeat(3000),
      'ä',
      '🐳',
      random.text(32, hex),
      `${uuid}?`,
      '-',
      'null',
    ])
    const method = random.pick(['GET', 'PATCH', 'PUT', 'DELETE', 'HEAD'])
    const query = method === 'PUT' ? `?digest=${a.blob}` : ''
    const body = method === 'PATCH' || method === 'PUT' ? { body: 'bytes' } : {}
    if (random.chance(0.2)) {
      // A's session under another repository's name: not even its existence is told.
      const target = world.takeSession().replace(a.repository, random.pick([b.repository, 'no/where'])) + query
      return caseOf(world, "A's session at B", { method, target, ...body }, ['401 UNAUTHORIZED'])
    }
    const path = escaped(session)
    const target = `/v2/${a.repository}/blobs/uploads/${path}${query}`
    const allowed = session.includes('/') ? (['404', '400'] as const) : (['404 BLOB_UPLOAD_UNKNOWN'] as const)
    return caseOf(world, `session ${JSON.stringify(session.slice(0, 50))}`, { method, target, ...body }, allowed)
  },
}

const hex = '0123456789abcdef'
