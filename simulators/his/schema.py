"""Tables of the simulated hospital's own SQLite file; money in fen, wall time as `YYYY-MM-DD HH:MM:SS`."""

VERSION = "2"

_PEOPLE = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE campuses (code TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE departments (
  code TEXT PRIMARY KEY, name TEXT NOT NULL, campus TEXT NOT NULL REFERENCES campuses, place TEXT NOT NULL,
  intro TEXT NOT NULL);
CREATE TABLE doctors (
  code TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, department TEXT NOT NULL REFERENCES departments,
  skill TEXT NOT NULL, fee_fen INTEGER NOT NULL);
CREATE TABLE patients (
  patient_id TEXT PRIMARY KEY, name TEXT NOT NULL, sex TEXT NOT NULL, birth_date TEXT NOT NULL,
  id_no TEXT NOT NULL, phone TEXT NOT NULL, deceased INTEGER NOT NULL);
CREATE TABLE cards (
  card_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, kind TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE wards (
  code TEXT PRIMARY KEY, name TEXT NOT NULL, department TEXT NOT NULL REFERENCES departments, beds INTEGER NOT NULL);
CREATE TABLE admissions (
  wristband_no TEXT PRIMARY KEY, admission_no TEXT NOT NULL, admission_seq INTEGER NOT NULL,
  patient_id TEXT NOT NULL REFERENCES patients, ward TEXT NOT NULL REFERENCES wards, bed_no TEXT NOT NULL,
  doctor TEXT NOT NULL REFERENCES doctors, admitted_at TEXT NOT NULL, discharged_at TEXT, status TEXT NOT NULL,
  UNIQUE (admission_no, admission_seq));
CREATE UNIQUE INDEX one_patient_a_bed ON admissions (ward, bed_no) WHERE status = 'I';
CREATE TABLE orders (
  item_code TEXT PRIMARY KEY, wristband_no TEXT NOT NULL REFERENCES admissions, name TEXT NOT NULL,
  note TEXT NOT NULL);
"""
_CLINIC = """
CREATE TABLE schedules (
  schedule_id TEXT PRIMARY KEY, doctor TEXT NOT NULL REFERENCES doctors, day TEXT NOT NULL, day_part TEXT NOT NULL,
  service_class TEXT NOT NULL, fee_fen INTEGER NOT NULL, room TEXT NOT NULL, status TEXT NOT NULL);
CREATE INDEX schedules_by_day ON schedules (day, doctor);
CREATE TABLE slots (
  schedule_id TEXT NOT NULL REFERENCES schedules, slot_no INTEGER NOT NULL, starts_at TEXT NOT NULL,
  patient_id TEXT REFERENCES patients, PRIMARY KEY (schedule_id, slot_no)) WITHOUT ROWID;
CREATE TABLE holds (
  hold_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, schedule_id TEXT NOT NULL,
  slot_no INTEGER NOT NULL, expires_at TEXT NOT NULL, released INTEGER NOT NULL DEFAULT 0);
CREATE INDEX live_holds ON holds (schedule_id, slot_no) WHERE NOT released;
CREATE TABLE registrations (
  registration_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients,
  schedule_id TEXT NOT NULL REFERENCES schedules, slot_no INTEGER NOT NULL, queue_no INTEGER NOT NULL,
  fee_fen INTEGER NOT NULL, created_at TEXT NOT NULL, status TEXT NOT NULL, his_txn_no TEXT NOT NULL,
  pay_method TEXT NOT NULL);
CREATE INDEX registrations_by_patient ON registrations (patient_id);
CREATE UNIQUE INDEX registrations_by_slot ON registrations (schedule_id, slot_no) WHERE status <> 'cancelled';
CREATE TABLE appointments (
  appointment_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients,
  schedule_id TEXT NOT NULL REFERENCES schedules, slot_no INTEGER NOT NULL, fee_fen INTEGER NOT NULL,
  created_at TEXT NOT NULL, status TEXT NOT NULL, his_txn_no TEXT NOT NULL);
CREATE INDEX appointments_by_patient ON appointments (patient_id);
CREATE UNIQUE INDEX appointments_by_slot ON appointments (schedule_id, slot_no) WHERE status <> 'cancelled';
"""
_MONEY = """
CREATE TABLE ledger (
  txn INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, op TEXT NOT NULL,
  patient_id TEXT NOT NULL REFERENCES patients, amount_fen INTEGER NOT NULL, pay_method TEXT NOT NULL,
  trade_no TEXT NOT NULL DEFAULT '', op_key TEXT, at TEXT NOT NULL);
CREATE INDEX ledger_by_account ON ledger (account);
CREATE TABLE invoices (
  invoice_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, issued_at TEXT NOT NULL,
  total_fen INTEGER NOT NULL, self_paid_fen INTEGER NOT NULL, fund_paid_fen INTEGER NOT NULL,
  insurance_account_paid_fen INTEGER NOT NULL, wristband_no TEXT REFERENCES admissions);
CREATE INDEX invoices_by_patient ON invoices (patient_id);
CREATE TABLE charges (
  charge_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, recipe_no TEXT NOT NULL,
  department TEXT NOT NULL REFERENCES departments, name TEXT NOT NULL, category TEXT NOT NULL, unit TEXT NOT NULL,
  quantity INTEGER NOT NULL, price_fen INTEGER NOT NULL, amount_fen INTEGER NOT NULL, made_at TEXT NOT NULL,
  visit_no TEXT NOT NULL REFERENCES visits, invoice_no TEXT REFERENCES invoices);
CREATE INDEX charges_by_patient ON charges (patient_id);
CREATE INDEX charges_by_invoice ON charges (invoice_no);
CREATE INDEX charges_by_visit ON charges (visit_no);
CREATE TABLE settlements (
  settle_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, charge_nos TEXT NOT NULL,
  total_fen INTEGER NOT NULL, self_paid_fen INTEGER NOT NULL, fund_paid_fen INTEGER NOT NULL,
  insurance_account_paid_fen INTEGER NOT NULL, invoice_no TEXT REFERENCES invoices);
CREATE TABLE stay_charges (
  charge_no TEXT PRIMARY KEY, wristband_no TEXT NOT NULL REFERENCES admissions, day TEXT NOT NULL, name TEXT NOT NULL,
  category TEXT NOT NULL, invoice_category TEXT NOT NULL, unit TEXT NOT NULL, quantity REAL NOT NULL,
  price_fen INTEGER NOT NULL, amount_fen INTEGER NOT NULL, made_at TEXT NOT NULL);
CREATE INDEX stay_charges_by_day ON stay_charges (wristband_no, day);
CREATE TABLE op_log (
  id INTEGER PRIMARY KEY, op TEXT NOT NULL, op_key TEXT NOT NULL, copy INTEGER NOT NULL DEFAULT 0,
  payload_hash TEXT NOT NULL, answer TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (op_key, copy));
"""
_RESULTS = """
CREATE TABLE visits (
  visit_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, at TEXT NOT NULL,
  department TEXT NOT NULL REFERENCES departments, doctor TEXT NOT NULL REFERENCES doctors, diagnosis TEXT NOT NULL,
  chief_complaint TEXT NOT NULL, present_illness TEXT NOT NULL, past_history TEXT NOT NULL,
  examination TEXT NOT NULL, advice TEXT NOT NULL);
CREATE INDEX visits_by_patient ON visits (patient_id);
CREATE TABLE prescriptions (
  visit_no TEXT NOT NULL REFERENCES visits, line INTEGER NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL,
  dose TEXT NOT NULL, route TEXT NOT NULL, frequency TEXT NOT NULL, days INTEGER NOT NULL, quantity TEXT NOT NULL,
  recipe_no TEXT NOT NULL, PRIMARY KEY (visit_no, line)) WITHOUT ROWID;
CREATE TABLE reports (
  report_no TEXT PRIMARY KEY, patient_id TEXT NOT NULL REFERENCES patients, kind TEXT NOT NULL, name TEXT NOT NULL,
  sampled_at TEXT NOT NULL, released_at TEXT, doctor TEXT NOT NULL REFERENCES doctors, findings TEXT NOT NULL,
  conclusion TEXT NOT NULL, version TEXT NOT NULL, study_uid TEXT NOT NULL, wristband_no TEXT REFERENCES admissions);
CREATE INDEX reports_by_patient ON reports (patient_id);
CREATE TABLE report_items (
  report_no TEXT NOT NULL REFERENCES reports, line INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  unit TEXT NOT NULL, low TEXT NOT NULL, high TEXT NOT NULL, reference TEXT NOT NULL, flag TEXT NOT NULL,
  PRIMARY KEY (report_no, line)) WITHOUT ROWID;
"""
DDL = _PEOPLE + _CLINIC + _MONEY + _RESULTS
