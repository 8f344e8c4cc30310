-- What the hospital shows us: read-only views, in yuan and in the hospital's own codes.
CREATE VIEW palm.v_department AS SELECT * FROM his.department;
CREATE VIEW palm.v_doctor AS SELECT d.doctor_code, d.doctor_name, d.title, d.dept_code, p.dept_name, d.skill, d.fee
  FROM his.doctor d JOIN his.department p ON p.dept_code = d.dept_code;
CREATE VIEW palm.v_patient AS SELECT patient_id, name, sex, birth_date, id_type, id_no, phone, deceased FROM his.patient;
CREATE VIEW palm.v_card AS SELECT card_no, patient_id, kind, status, op_key FROM his.card;
CREATE VIEW palm.v_schedule AS SELECT s.schedule_id, s.clinic_day, s.day_part, s.doctor_code, d.doctor_name, d.title,
    s.dept_code, p.dept_name, s.service_class, s.fee, s.room, s.state,
    (SELECT SUM(total) FROM his.slot x WHERE x.schedule_id = s.schedule_id) AS total,
    (SELECT SUM(total - taken) FROM his.slot x WHERE x.schedule_id = s.schedule_id) AS remaining
  FROM his.schedule s JOIN his.doctor d ON d.doctor_code = s.doctor_code JOIN his.department p ON p.dept_code = s.dept_code;
CREATE VIEW palm.v_slot AS SELECT slot_id, schedule_id, starts_at, ends_at, total - taken AS remaining FROM his.slot;
CREATE VIEW palm.v_registration AS SELECT r.reg_no, r.kind, r.patient_id, r.schedule_id, r.slot_id, s.clinic_day, s.day_part,
    r.state, t.starts_at, p.dept_name, s.doctor_code, d.doctor_name, s.service_class, s.room, r.fee, r.queue_no,
    r.created_at, r.op_key, r.cancel_key, CASE WHEN r.paid_by = 'none' THEN 0 ELSE r.fee END AS refund
  FROM his.registration r JOIN his.schedule s ON s.schedule_id = r.schedule_id JOIN his.slot t ON t.slot_id = r.slot_id
  JOIN his.doctor d ON d.doctor_code = s.doctor_code JOIN his.department p ON p.dept_code = s.dept_code;
CREATE VIEW palm.v_queue AS SELECT r.reg_no, r.patient_id, r.schedule_id, r.queue_no, 1 AS serving_no,
    (SELECT COUNT(*) FROM his.registration o WHERE o.schedule_id = r.schedule_id AND o.state = '1'
      AND o.queue_no < r.queue_no) AS ahead, r.state, p.dept_name, d.doctor_name, s.room
  FROM his.registration r JOIN his.schedule s ON s.schedule_id = r.schedule_id
  JOIN his.doctor d ON d.doctor_code = s.doctor_code JOIN his.department p ON p.dept_code = s.dept_code
  WHERE s.clinic_day = CURRENT_DATE AND r.kind = 'R' AND r.state IN ('1', '2');
CREATE VIEW palm.v_balance AS SELECT patient_id, balance FROM his.patient;
CREATE VIEW palm.v_money AS SELECT txn_no, op, patient_id, admission_no, admission_seq, amount, balance, method, trade_no,
    at_time, op_key FROM his.money;
CREATE VIEW palm.v_charge AS SELECT c.charge_no, c.patient_id, c.visit_no, c.admission_no, c.admission_seq, c.item_name,
    c.category, c.unit, c.quantity, c.price, c.amount, c.at_time, c.recipe_no, p.dept_name, c.invoice_no, c.paid
  FROM his.charge c LEFT JOIN his.department p ON p.dept_code = c.dept_code;
CREATE VIEW palm.v_visit AS SELECT v.visit_no, v.patient_id, v.visit_at, p.dept_name, d.doctor_name, v.diagnosis,
    v.complaint, v.illness, v.history, v.examination, v.advice,
    (SELECT SUM(amount) FROM his.charge c WHERE c.visit_no = v.visit_no) AS total
  FROM his.visit v LEFT JOIN his.department p ON p.dept_code = v.dept_code LEFT JOIN his.doctor d ON d.doctor_code = v.doctor_code;
CREATE VIEW palm.v_prescription AS SELECT r.*, v.patient_id FROM his.prescription r JOIN his.visit v ON v.visit_no = r.visit_no;
CREATE VIEW palm.v_report AS SELECT * FROM his.report WHERE released_at IS NOT NULL;
CREATE VIEW palm.v_report_item AS SELECT i.*, r.patient_id FROM his.report_item i
  JOIN his.report r ON r.report_no = i.report_no WHERE r.released_at IS NOT NULL;
CREATE VIEW palm.v_admission AS SELECT a.*, p.name, p.sex, p.birth_date, p.id_no, p.phone, p.deceased
  FROM his.admission a JOIN his.patient p ON p.patient_id = a.patient_id;
CREATE VIEW palm.v_invoice AS SELECT * FROM his.invoice;
