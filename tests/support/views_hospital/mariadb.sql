-- MariaDB: accounts, tables in an old character set, and one procedure per write, which is a transaction of its own.
DELIMITER //
CREATE FUNCTION palm.card_is(p_card VARCHAR(20), p_patient VARCHAR(20)) RETURNS INTEGER READS SQL DATA
  RETURN EXISTS (SELECT 1 FROM his.card WHERE card_no = p_card AND patient_id = p_patient AND status = '1') //

CREATE PROCEDURE palm.take(p_kind CHAR(1), p_op_key VARCHAR(32), p_patient VARCHAR(20), p_card VARCHAR(20),
    p_schedule VARCHAR(20), p_slot VARCHAR(20), p_fee DECIMAL(10,2), p_method VARCHAR(20))
take: BEGIN
  DECLARE v_balance, v_fee DECIMAL(12,2); DECLARE v_state VARCHAR(4);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;  -- the default locks gaps of the op_key index, and two strangers deadlock
  START TRANSACTION;
  SELECT balance INTO v_balance FROM his.patient WHERE patient_id = p_patient FOR UPDATE;  -- one order a patient at a time
  IF v_balance IS NULL OR NOT palm.card_is(p_card, p_patient) THEN
    ROLLBACK; SELECT 'NOPATIENT' ret_code, '卡不可用' ret_message; LEAVE take; END IF;
  IF EXISTS (SELECT 1 FROM his.registration WHERE op_key = p_op_key) THEN
    ROLLBACK; SELECT 'DUP' ret_code, '' ret_message; LEAVE take; END IF;
  SELECT fee, state INTO v_fee, v_state FROM his.schedule WHERE schedule_id = p_schedule;
  IF v_state IS NULL OR v_state <> '1' THEN ROLLBACK; SELECT 'STOP' ret_code, '已停诊' ret_message; LEAVE take; END IF;
  IF p_fee IS NOT NULL AND p_fee <> v_fee THEN ROLLBACK; SELECT 'FEE' ret_code, '挂号费已变' ret_message; LEAVE take; END IF;
  IF p_method = 'balance' AND v_balance < v_fee THEN
    ROLLBACK; SELECT 'SHORT' ret_code, '余额不足' ret_message, v_fee - v_balance shortfall; LEAVE take; END IF;
  UPDATE his.slot SET taken = taken + 1 WHERE slot_id = p_slot AND schedule_id = p_schedule AND taken < total;
  IF ROW_COUNT() = 0 THEN ROLLBACK; SELECT 'FULL' ret_code, '号已满' ret_message; LEAVE take; END IF;
  IF p_method = 'balance' THEN UPDATE his.patient SET balance = balance - v_fee WHERE patient_id = p_patient; END IF;
  INSERT INTO his.registration VALUES (CONCAT('R', NEXTVAL(his.numbers)), p_kind, p_patient, p_schedule, p_slot, '1', v_fee,
    p_method, IF(p_kind = 'R', (SELECT taken FROM his.slot WHERE slot_id = p_slot), NULL), NOW(), p_op_key, NULL);
  COMMIT;
  SELECT '0' ret_code, '' ret_message, v.* FROM palm.v_registration v WHERE op_key = p_op_key;
END //

CREATE PROCEDURE palm.give_back(p_kind CHAR(1), p_op_key VARCHAR(32), p_patient VARCHAR(20), p_number VARCHAR(20))
back: BEGIN
  DECLARE v_state, v_paid_by, v_slot, v_key VARCHAR(40); DECLARE v_fee DECIMAL(10,2);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  SELECT state, paid_by, slot_id, cancel_key, fee INTO v_state, v_paid_by, v_slot, v_key, v_fee FROM his.registration
    WHERE reg_no = p_number AND patient_id = p_patient AND kind = p_kind FOR UPDATE;
  IF v_state IS NULL THEN ROLLBACK; SELECT 'NONE' ret_code, '' ret_message; LEAVE back; END IF;
  IF v_key = p_op_key THEN ROLLBACK; SELECT 'DUP' ret_code, '' ret_message; LEAVE back; END IF;
  IF v_state <> '1' THEN ROLLBACK; SELECT 'LATE' ret_code, '不可退' ret_message; LEAVE back; END IF;
  UPDATE his.registration SET state = '3', cancel_key = p_op_key WHERE reg_no = p_number;
  UPDATE his.slot SET taken = taken - 1 WHERE slot_id = v_slot;
  IF v_paid_by = 'balance' THEN UPDATE his.patient SET balance = balance + v_fee WHERE patient_id = p_patient; END IF;
  COMMIT;
  SELECT '0' ret_code, '' ret_message, v.* FROM palm.v_registration v WHERE reg_no = p_number;
END //

CREATE PROCEDURE palm.credit(p_op VARCHAR(20), p_op_key VARCHAR(32), p_patient VARCHAR(20), p_card VARCHAR(20),
    p_admission VARCHAR(20), p_seq INTEGER, p_amount DECIMAL(12,2), p_method VARCHAR(20), p_trade_no VARCHAR(64))
credit: BEGIN
  DECLARE v_balance DECIMAL(12,2);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  SELECT balance INTO v_balance FROM his.patient WHERE patient_id = p_patient FOR UPDATE;
  IF v_balance IS NULL OR (p_op = 'top_up' AND NOT palm.card_is(p_card, p_patient)) OR (p_op = 'prepay' AND NOT EXISTS (
      SELECT 1 FROM his.admission WHERE admission_no = p_admission AND admission_seq = p_seq AND patient_id = p_patient AND status = 'I'))
    THEN ROLLBACK; SELECT 'NOPATIENT' ret_code, '卡或住院号不可用' ret_message; LEAVE credit; END IF;
  IF EXISTS (SELECT 1 FROM his.money WHERE op_key = p_op_key) THEN ROLLBACK; SELECT 'DUP' ret_code, '' ret_message; LEAVE credit; END IF;
  IF p_op = 'top_up' THEN
    UPDATE his.patient SET balance = balance + p_amount WHERE patient_id = p_patient;
    SET v_balance = v_balance + p_amount;
  ELSE SET v_balance = NULL; END IF;
  INSERT INTO his.money VALUES (CONCAT('M', NEXTVAL(his.numbers)), p_op, p_patient, p_admission, p_seq, p_amount, v_balance,
    p_method, p_trade_no, NOW(), p_op_key);
  COMMIT;
  SELECT '0' ret_code, '' ret_message, v.* FROM palm.v_money v WHERE op_key = p_op_key;
END //

CREATE PROCEDURE palm.create_card(p_op_key VARCHAR(32), p_name VARCHAR(60), p_sex CHAR(1), p_born DATE, p_id_type VARCHAR(4),
    p_id_no VARCHAR(32), p_phone VARCHAR(20))
card: BEGIN
  DECLARE v_patient, v_card VARCHAR(20);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  IF EXISTS (SELECT 1 FROM his.card WHERE op_key = p_op_key) THEN ROLLBACK; SELECT 'DUP' ret_code, '' ret_message; LEAVE card; END IF;
  IF EXISTS (SELECT 1 FROM his.patient WHERE id_no = p_id_no) THEN
    ROLLBACK; SELECT 'EXISTS' ret_code, '已有就诊卡' ret_message; LEAVE card; END IF;
  SET v_patient = CONCAT('P', NEXTVAL(his.numbers)), v_card = CONCAT('600000', NEXTVAL(his.numbers));
  INSERT INTO his.patient VALUES (v_patient, p_name, p_sex, p_born, p_id_type, p_id_no, p_phone, 0, 0, p_op_key);
  INSERT INTO his.card VALUES (v_card, v_patient, '01', '1', p_op_key);
  COMMIT;
  SELECT '0' ret_code, '' ret_message, c.card_no, c.kind, c.status, p.* FROM palm.v_patient p
    JOIN palm.v_card c ON c.patient_id = p.patient_id WHERE p.patient_id = v_patient;
END //

-- An old registration desk: its table is GBK, its routine was made without strict mode, so that what does not fit becomes '?'.
CREATE TABLE his.old_card (card_no VARCHAR(20) PRIMARY KEY, name VARCHAR(60) NOT NULL, op_key VARCHAR(32) NOT NULL UNIQUE)
  CHARACTER SET gbk //
CREATE VIEW palm.v_old_card AS SELECT card_no, name, op_key FROM his.old_card //
SET sql_mode = '' //
CREATE PROCEDURE palm.old_create_card(p_op_key VARCHAR(32), p_name VARCHAR(60))
BEGIN
  INSERT INTO his.old_card VALUES (CONCAT('7', NEXTVAL(his.numbers)), p_name, p_op_key);
  SELECT '0' ret_code, '' ret_message, card_no, card_no AS patient_id, name FROM palm.v_old_card WHERE op_key = p_op_key;
END //
SET sql_mode = DEFAULT //
CREATE PROCEDURE palm.strict_old_create_card(p_op_key VARCHAR(32), p_name VARCHAR(60))
BEGIN
  INSERT INTO his.old_card VALUES (CONCAT('7', NEXTVAL(his.numbers)), p_name, p_op_key);
  SELECT '0' ret_code, '' ret_message, card_no, card_no AS patient_id, name FROM palm.v_old_card WHERE op_key = p_op_key;
END //

-- The mistake that sells a slot twice: look, think, then write what was seen. The tests' control.
CREATE PROCEDURE palm.careless_take(p_op_key VARCHAR(32), p_patient VARCHAR(20), p_schedule VARCHAR(20), p_slot VARCHAR(20))
take: BEGIN
  DECLARE v_taken, v_total INTEGER;
  SELECT taken, total INTO v_taken, v_total FROM his.slot WHERE slot_id = p_slot;
  IF v_taken >= v_total THEN SELECT 'FULL' ret_code, '' ret_message; LEAVE take; END IF;
  DO SLEEP(0.05);
  UPDATE his.slot SET taken = v_taken + 1 WHERE slot_id = p_slot;
  INSERT INTO his.registration VALUES (CONCAT('R', NEXTVAL(his.numbers)), 'R', p_patient, p_schedule, p_slot, '1', 0, 'none', 1,
    NOW(), p_op_key, NULL);
  SELECT '0' ret_code, '' ret_message, v.* FROM palm.v_registration v WHERE op_key = p_op_key;
END //
DELIMITER ;
ALTER TABLE his.department CONVERT TO CHARACTER SET gbk;
ALTER TABLE his.doctor CONVERT TO CHARACTER SET gbk;
ALTER TABLE his.report CONVERT TO CHARACTER SET gbk;
ALTER TABLE his.report_item CONVERT TO CHARACTER SET gbk;
CREATE USER 'palm_read'@'127.0.0.1' IDENTIFIED BY 'read-only-of-tests';
CREATE USER 'palm_write'@'127.0.0.1' IDENTIFIED BY 'write-of-tests';
GRANT SELECT ON palm.* TO 'palm_read'@'127.0.0.1';
GRANT EXECUTE ON palm.* TO 'palm_write'@'127.0.0.1';
