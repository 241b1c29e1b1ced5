/** Queries whose text never changes: written with Kysely like all others, but built and compiled once instead of for every read. */
import type { CompiledQuery, DialectAdapter, Kysely, QueryResult } from 'kysely'
import type { Tables } from './tables/index.ts'

/** Stands for the value of a parameter: `param('digest')`. */
export type Parameter<Parameters> = <Name extends keyof Parameters & string>(name: Name) => Parameters[Name]

export interface FixedQuery<Parameters, Row> {
  readonly build: (db: Kysely<Tables>, param: Parameter<Parameters>) => { compile(): CompiledQuery<Row> }
}

/**
 * `fixedQuery<{ digest: string }>()((db, param) => db.selectFrom('blobs').where('digest', '=', param('digest')).select('size'))`
 * The query may not look at a parameter's value while it is built: there is none yet.
 */
export function fixedQuery<Parameters extends object>() {
  return <Row>(build: FixedQuery<Parameters, Row>['build']): FixedQuery<Parameters, Row> => ({ build })
}

/** A query as its dialect spells it, and the names of its parameters in the order of their places. */
export interface CompiledFixedQuery {
  readonly compiled: CompiledQuery
  valuesOf(parameters: object): unknown[]
}

/** Keeps what was compiled; one for each database, because dialects differ. */
export class FixedQueries {
  readonly #db: Kysely<Tables>
  readonly #known = new WeakMap<FixedQuery<never, unknown>, CompiledFixedQuery>()

  /** db: compiles only, and need have no connection. */
  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  get<Parameters, Row>(query: FixedQuery<Parameters, Row>): CompiledFixedQuery {
    const known = this.#known.get(query as FixedQuery<never, unknown>)
    if (known !== undefined) return known
    const made = compile(this.#db, query)
    this.#known.set(query as FixedQuery<never, unknown>, made)
    return made
  }
}

const ofDatabases = new WeakMap<DialectAdapter, FixedQueries>()

/** Those of the database that a handle belongs to, however many handles it gives out. */
export function fixedQueriesOf(db: Kysely<Tables>): FixedQueries {
  const { adapter } = db.getExecutor()
  const known = ofDatabases.get(adapter) ?? new FixedQueries(db)
  ofDatabases.set(adapter, known)
  return known
}

/** As `Database.select`, but through the handle of a transaction, and for statements that write, too. */
export async function run<Parameters extends object, Row>(
  db: Kysely<Tables>,
  query: FixedQuery<Parameters, Row>,
  parameters: Parameters,
): Promise<QueryResult<Row>> {
  const { compiled, valuesOf } = fixedQueriesOf(db).get(query)
  return db.executeQuery<Row>({ ...compiled, parameters: valuesOf(parameters) } as CompiledQuery<Row>)
}

/** Throws where there is another number of rows than one. */
export function onlyRow<Row>({ rows: [row, ...more] }: QueryResult<Row>): Row {
  if (row === undefined || more.length > 0) throw new Error('one row was expected')
  return row
}

class Place {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

function compile<Parameters, Row>(db: Kysely<Tables>, { build }: FixedQuery<Parameters, Row>): CompiledFixedQuery {
  const param = ((name: string) => new Place(name)) as unknown as Parameter<Parameters>
  const compiled = build(db, param).compile()
  const places = compiled.parameters
  return {
    compiled,
    valuesOf(parameters) {
      const values = parameters as Readonly<Record<string, unknown>>
      return places.map((place) => (place instanceof Place ? values[place.name] : place))
    },
  }
}
