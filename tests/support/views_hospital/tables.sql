-- A small hospital's own tables: the same for PostgreSQL and MariaDB. Nobody of ours may read them; see views.sql.
CREATE TABLE his.department (dept_code VARCHAR(20) PRIMARY KEY, dept_name VARCHAR(60) NOT NULL, campus_code VARCHAR(20),
  campus_name VARCHAR(60), place VARCHAR(120), intro VARCHAR(400));
CREATE TABLE his.doctor (doctor_code VARCHAR(20) PRIMARY KEY, doctor_name VARCHAR(60) NOT NULL, title VARCHAR(40),
  dept_code VARCHAR(20) NOT NULL, skill VARCHAR(400), fee DECIMAL(10,2));
CREATE TABLE his.patient (patient_id VARCHAR(20) PRIMARY KEY, name VARCHAR(60) NOT NULL, sex CHAR(1), birth_date DATE,
  id_type VARCHAR(4), id_no VARCHAR(32), phone VARCHAR(20), deceased SMALLINT DEFAULT 0 NOT NULL,
  balance DECIMAL(12,2) DEFAULT 0 NOT NULL, op_key VARCHAR(32) UNIQUE);
CREATE TABLE his.card (card_no VARCHAR(20) PRIMARY KEY, patient_id VARCHAR(20) NOT NULL, kind VARCHAR(4),
  status VARCHAR(4), op_key VARCHAR(32) UNIQUE);
CREATE TABLE his.schedule (schedule_id VARCHAR(20) PRIMARY KEY, clinic_day DATE NOT NULL, day_part VARCHAR(4),
  doctor_code VARCHAR(20) NOT NULL, dept_code VARCHAR(20) NOT NULL, service_class VARCHAR(20), fee DECIMAL(10,2) NOT NULL,
  room VARCHAR(40), state VARCHAR(4));
CREATE TABLE his.slot (slot_id VARCHAR(20) PRIMARY KEY, schedule_id VARCHAR(20) NOT NULL, starts_at DATETIME NOT NULL,
  ends_at DATETIME, total INTEGER NOT NULL, taken INTEGER DEFAULT 0 NOT NULL);
CREATE TABLE his.registration (reg_no VARCHAR(20) PRIMARY KEY, kind CHAR(1) NOT NULL, patient_id VARCHAR(20) NOT NULL,
  schedule_id VARCHAR(20) NOT NULL, slot_id VARCHAR(20) NOT NULL, state VARCHAR(4) NOT NULL, fee DECIMAL(10,2) NOT NULL,
  paid_by VARCHAR(20), queue_no INTEGER, created_at DATETIME NOT NULL, op_key VARCHAR(32) NOT NULL UNIQUE,
  cancel_key VARCHAR(32) UNIQUE);
CREATE TABLE his.money (txn_no VARCHAR(20) PRIMARY KEY, op VARCHAR(20) NOT NULL, patient_id VARCHAR(20) NOT NULL,
  admission_no VARCHAR(20), admission_seq INTEGER, amount DECIMAL(12,2) NOT NULL, balance DECIMAL(12,2),
  method VARCHAR(20), trade_no VARCHAR(64), at_time DATETIME NOT NULL, op_key VARCHAR(32) NOT NULL UNIQUE);
CREATE TABLE his.charge (charge_no VARCHAR(20) PRIMARY KEY, patient_id VARCHAR(20) NOT NULL, visit_no VARCHAR(20),
  admission_no VARCHAR(20), admission_seq INTEGER, item_name VARCHAR(80) NOT NULL, category VARCHAR(40),
  unit VARCHAR(20), quantity DECIMAL(10,2), price DECIMAL(10,2), amount DECIMAL(12,2) NOT NULL, at_time DATETIME,
  recipe_no VARCHAR(20), dept_code VARCHAR(20), invoice_no VARCHAR(20), paid SMALLINT DEFAULT 0 NOT NULL);
CREATE TABLE his.visit (visit_no VARCHAR(20) PRIMARY KEY, patient_id VARCHAR(20) NOT NULL, visit_at DATETIME NOT NULL,
  dept_code VARCHAR(20), doctor_code VARCHAR(20), diagnosis VARCHAR(200), complaint VARCHAR(400), illness VARCHAR(400),
  history VARCHAR(400), examination VARCHAR(400), advice VARCHAR(400));
CREATE TABLE his.prescription (visit_no VARCHAR(20) NOT NULL, line_no INTEGER NOT NULL, drug VARCHAR(80) NOT NULL,
  spec VARCHAR(60), dose VARCHAR(40), route VARCHAR(40), frequency VARCHAR(40), days INTEGER, quantity VARCHAR(40),
  recipe_no VARCHAR(20), PRIMARY KEY (visit_no, line_no));
CREATE TABLE his.report (report_no VARCHAR(20) PRIMARY KEY, patient_id VARCHAR(20) NOT NULL, admission_no VARCHAR(20),
  kind VARCHAR(10) NOT NULL, report_name VARCHAR(80) NOT NULL, released_at DATETIME, version VARCHAR(10),
  sampled_at DATETIME, doctor_name VARCHAR(60), findings VARCHAR(1000), conclusion VARCHAR(400), study_uid VARCHAR(64));
CREATE TABLE his.report_item (report_no VARCHAR(20) NOT NULL, line_no INTEGER NOT NULL, item_name VARCHAR(80) NOT NULL,
  value VARCHAR(60), unit VARCHAR(30), low VARCHAR(20), high VARCHAR(20), reference VARCHAR(60), flag VARCHAR(20),
  PRIMARY KEY (report_no, line_no));
CREATE TABLE his.admission (admission_no VARCHAR(20) NOT NULL, admission_seq INTEGER NOT NULL,
  patient_id VARCHAR(20) NOT NULL, ward_code VARCHAR(20), ward_name VARCHAR(60), bed_no VARCHAR(20), dept_name VARCHAR(60),
  doctor_name VARCHAR(60), admitted_at DATETIME NOT NULL, discharged_at DATETIME, status CHAR(1) NOT NULL,
  wristband_no VARCHAR(20) UNIQUE, PRIMARY KEY (admission_no, admission_seq));
CREATE TABLE his.invoice (invoice_no VARCHAR(20) PRIMARY KEY, patient_id VARCHAR(20) NOT NULL, admission_no VARCHAR(20),
  admission_seq INTEGER, issued_at DATETIME NOT NULL, total DECIMAL(12,2) NOT NULL, self_paid DECIMAL(12,2) NOT NULL,
  fund_paid DECIMAL(12,2) NOT NULL, account_paid DECIMAL(12,2) NOT NULL);
CREATE SEQUENCE his.numbers START WITH 100001;
